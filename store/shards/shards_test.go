package shards_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/shards"
	"github.com/alot/alotwebhook/store/storetest"
)

// patient is a patience that no claim needs: what a rule expects of one claim must come with
// it, however slow the machine is.
const patient = 10 * time.Minute

func three() map[string]alotwebhook.Store {
	return map[string]alotwebhook.Store{"a": memory.New(), "b": memory.New(), "c": memory.New()}
}

func newStore(tb testing.TB, stores map[string]alotwebhook.Store, cfg shards.Config) *shards.Store {
	tb.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := shards.New(stores, &cfg)
	require.NoError(tb, err)
	return s
}

// apart places the two organizations of most rules on different shards, and the others by
// hash. The second moves: so the id of an event is looked for in the shard of the first, too,
// where one rule has it stored.
func apart(organizationID string) []string {
	switch organizationID {
	case "org_1":
		return []string{"a"}
	case "org_2":
		return []string{"b", "a"}
	}
	return shards.ByHash("a", "b", "c")(organizationID)
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(tb testing.TB) alotwebhook.Store { return newAtHome(tb, apart) })
}

// All rules hold while all organizations move.
func TestContractWhileMoving(t *testing.T) {
	t.Parallel()
	everywhere := shards.Moving(apart, func(string) []string { return []string{"a", "b", "c"} })
	storetest.Run(t, func(tb testing.TB) alotwebhook.Store { return newAtHome(tb, everywhere) })
}

// atHome is a store whose Stats leaves out the endpoints that organizations have in further shards
// while they move. [shards.Store] counts them there as well.
type atHome struct {
	*shards.Store
	stores map[string]alotwebhook.Store
	places func(organizationID string) []string
}

func newAtHome(tb testing.TB, places func(string) []string) atHome {
	tb.Helper()
	stores := three()
	return atHome{newStore(tb, stores, shards.Config{Places: places, Patience: patient}), stores, places}
}

func (s atHome) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	st, err := s.Store.Stats(ctx)
	for name, one := range s.stores {
		all, _, _ := one.Endpoints(ctx, alotwebhook.EndpointFilter{Limit: 1000})
		for _, e := range all {
			switch {
			case s.places(e.OrganizationID)[0] == name:
			case e.Disabled:
				st.DisabledEndpoints--
			case !e.FailingSince.IsZero():
				st.FailingEndpoints--
			}
		}
	}
	return st, err
}

func TestContractOverOne(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(tb testing.TB) alotwebhook.Store {
		return newStore(tb, map[string]alotwebhook.Store{"only": memory.New()}, shards.Config{Patience: patient})
	})
}
