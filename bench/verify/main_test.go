package main

import (
	"testing"

	"github.com/alot/alotwebhook/bench/internal/commandtest"
)

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	commandtest.RequireRefused(t, program, map[string]string{
		"-rounds=0": "-rounds is 0; give 1 or more",
		"-turn=0s":  "-turn is 0s; give 1ms or more",
		"-turn=5":   `invalid value "5" for flag -turn: parse error; give one such as 40ms`,
		"stripe":    `unexpected argument "stripe"`,
	})
}
