//go:build race

package main

// raceDetector says that the tests run under the race detector, with which the sections
// take four times as long.
const raceDetector = true
