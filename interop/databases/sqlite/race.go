//go:build race

package sqlite

// The race detector makes a database that is compiled to Go ten times slower.
const raceDetector = true
