//go:build !race

package alotwebhook_test

const raceEnabled = false
