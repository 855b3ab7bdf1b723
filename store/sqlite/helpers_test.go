package sqlite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

const completed = "candidate.completed"

// patience bounds every wait. It is a last resort for what will never come, and
// no measure of how fast anything is.
const patience = 10 * time.Minute

var data = json.RawMessage(`{"sessionId":"sess_123","text":"` + strings.Repeat("x", 120) + `"}`)

func newEvent(tb testing.TB, organization string) alotwebhook.Event {
	tb.Helper()
	e, err := alotwebhook.NewEvent(completed, organization, data)
	require.NoError(tb, err)
	return e
}

// endpointID spells n as an endpoint's id.
func endpointID(n int) string { return fmt.Sprintf("wh_%026d", n) }

func putEndpoint(tb testing.TB, s alotwebhook.Store, n int, organization string) alotwebhook.Endpoint {
	tb.Helper()
	e := alotwebhook.Endpoint{
		ID: endpointID(n), OrganizationID: organization, URL: "https://hooks.example.com/alot",
		EventTypes: []string{completed}, Secret: "It's a Secret to Everybody", CreatedAt: time.Now(),
	}
	require.NoError(tb, s.PutEndpoint(context.Background(), e))
	return e
}

func organization(n int) string { return fmt.Sprintf("org_%d", n) }

// fleet stores n endpoints, each of an organization of its own.
func fleet(tb testing.TB, s alotwebhook.Store, n int) {
	tb.Helper()
	for i := range n {
		putEndpoint(tb, s, i, organization(i))
	}
}

// backlog returns a store on a new file with endpoints, each of an organization of its own, and
// events to them in turns.
func backlog(t *testing.T, endpoints, events int) (s *sqlite.Store, path string) {
	t.Helper()
	path = newPath(t)
	s = open(t, path)
	fleet(t, s, endpoints)
	enqueue(t, s, events, 0, endpoints)
	return s, path
}

func claim(tb testing.TB, s alotwebhook.Store, limit int, busy map[string]int) []alotwebhook.Claimed {
	tb.Helper()
	r, err := s.Claim(context.Background(), alotwebhook.ClaimRequest{Limit: limit, PerEndpoint: limit, Lease: time.Minute, Busy: busy})
	require.NoError(tb, err)
	return r.Deliveries
}

// finish records a response with 204 for each claimed delivery.
func finish(tb testing.TB, s alotwebhook.Store, claimed []alotwebhook.Claimed) {
	tb.Helper()
	finishAs(tb, s, claimed, func(int) alotwebhook.DeliveryState { return alotwebhook.StateDelivered })
}

// finishAs is finish with the state that each delivery ends in.
func finishAs(tb testing.TB, s alotwebhook.Store, claimed []alotwebhook.Claimed, state func(i int) alotwebhook.DeliveryState) {
	tb.Helper()
	outcomes := make([]alotwebhook.Outcome, len(claimed))
	for i, c := range claimed {
		outcomes[i] = alotwebhook.Outcome{
			DeliveryID: c.DeliveryID, Token: c.Token, State: state(i),
			Attempt: alotwebhook.Attempt{Number: c.Attempt, StartedAt: time.Now(), Duration: time.Millisecond, StatusCode: 204},
		}
	}
	lost, err := s.Finish(context.Background(), outcomes)
	require.NoError(tb, err)
	require.Empty(tb, lost)
}
