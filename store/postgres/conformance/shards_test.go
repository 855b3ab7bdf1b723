package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
	"github.com/alot/alotwebhook/store/shards"
	"github.com/alot/alotwebhook/store/storetest"
)

// A store over three schemas keeps the contract.
func TestConformanceOverShards(t *testing.T) {
	t.Parallel()
	skipUnderRace(t)
	schemas := postgrestest.NewSchemas(t)
	// One of the two organizations of most rules moves. So the id of an event is looked for
	// in the shard of the other one, too, where one rule has it stored.
	places := func(organizationID string) []string {
		switch organizationID {
		case "org_1":
			return []string{"a"}
		case "org_2":
			return []string{"b", "a"}
		}
		return shards.ByHash("a", "b", "c")(organizationID)
	}
	storetest.Run(t, func(t testing.TB) alotwebhook.Store {
		stores := map[string]alotwebhook.Store{}
		for _, name := range []string{"a", "b", "c"} {
			stores[name] = schemas.Open(t, postgrestest.DSN(t), small)
		}
		s, err := shards.New(stores, &shards.Config{Places: places, Patience: 10 * time.Minute})
		require.NoError(t, err)
		return atHome{s}
	})
}

// atHome is a store whose Stats counts the endpoints of organizations that move once: as they are at
// home. [shards.Store] counts them in each of their shards.
type atHome struct{ *shards.Store }

func (s atHome) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	st, err := s.Store.Stats(ctx)
	st.FailingEndpoints, st.DisabledEndpoints = 0, 0
	all, _, _ := s.Endpoints(ctx, alotwebhook.EndpointFilter{Limit: 1000})
	for _, e := range all {
		if e.Disabled {
			st.DisabledEndpoints++
		} else if !e.FailingSince.IsZero() {
			st.FailingEndpoints++
		}
	}
	return st, err
}
