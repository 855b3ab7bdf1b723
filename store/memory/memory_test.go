package memory_test

import (
	"testing"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(testing.TB) alotwebhook.Store { return memory.New() })
}

func BenchmarkStore(b *testing.B) {
	open := func(testing.TB) alotwebhook.Store { return memory.New() }
	b.Run("Claim", func(b *testing.B) { storetest.BenchmarkClaim(b, open) })
	b.Run("Deliver", func(b *testing.B) { storetest.BenchmarkDeliver(b, open) })
}
