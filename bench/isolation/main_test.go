package main

import (
	"testing"

	"github.com/alot/alotwebhook/bench/internal/commandtest"
)

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	commandtest.RequireRefused(t, program, map[string]string{
		"-store=mongo": `unknown store "mongo"; there are memory, postgres, sqlite`,
		"-seconds=0":   "-seconds is 0; give from 1 to 600",
		"-row=some":    `no row has "some" in its name; there are: nobody; 8 endpoints of one`,
	})
}
