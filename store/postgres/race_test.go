//go:build race

package postgres_test

// raceDetector says that the tests run under the race detector. The contract over other
// connections finds no race that the contract itself does not find.
const raceDetector = true
