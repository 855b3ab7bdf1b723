//go:build race

package alotwebhook_test

const raceEnabled = true
