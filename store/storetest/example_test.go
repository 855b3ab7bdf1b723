package storetest_test

import (
	"testing"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/storetest"
)

// A store of your own passes the suite from a test of its package. Each call of the
// function gives an empty store.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestContract(t *testing.T)
		storetest.Run(t, func(tb testing.TB) alotwebhook.Store {
			return memory.New() // your own, with tb.Cleanup for what it holds
		})
	}
}
