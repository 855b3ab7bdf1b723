package memory_test

import (
	"testing"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/storetest"
)

// A field of a host's struct is the zero Store. It keeps every rule as well.
func TestContractOfTheZeroStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(testing.TB) alotwebhook.Store { return &memory.Store{} })
}
