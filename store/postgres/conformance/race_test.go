//go:build race

package conformance

// raceDetector says that the tests run under the race detector. The contract over other
// connections finds no race that the contract itself does not find.
const raceDetector = true
