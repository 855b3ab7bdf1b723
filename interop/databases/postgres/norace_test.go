//go:build !race

package postgres_test

// The suites only wait for databases here; other tests look for races.
const raceDetector = false
