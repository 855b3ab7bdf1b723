//go:build race

package sqlite_test

// raceDetector says that the tests run under the race detector, which makes SQLite in
// Go ten times slower.
const raceDetector = true
