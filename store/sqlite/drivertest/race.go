//go:build race

package drivertest

// The race detector makes a database that is compiled to Go ten times slower.
const raceDetector = true
