package sqlite_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// lines are the receivers of ordered endpoints, by path. Each fails every fifth event twice.
type lines struct {
	mu    sync.Mutex
	tries map[string]int // by path and event
	taken map[string][]string
	all   chan struct{} // gets one for each event taken
}

func (l *lines) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	event, err := alotwebhook.ParseEvent(body)
	l.mu.Lock()
	defer l.mu.Unlock()
	to := r.URL.Path
	l.tries[to+event.ID]++
	if n := len(l.taken[to]); err != nil || n%5 == 4 && l.tries[to+event.ID] < 3 {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	l.taken[to] = append(l.taken[to], event.ID)
	l.all <- struct{}{}
}

// The order of endpoints holds over several processes, while some come and go.
func TestOrderOverProcesses(t *testing.T) {
	t.Parallel()
	const endpoints, events = 6, 60
	l := &lines{tries: map[string]int{}, taken: map[string][]string{}, all: make(chan struct{}, endpoints*events)}
	receiver := httptest.NewServer(l)
	t.Cleanup(receiver.Close)
	path := filepath.Join(t.TempDir(), "webhooks.db")
	d := dispatch(t, path)
	for i := range endpoints {
		_, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: "org", URL: receiver.URL + "/" + organization(i), EventTypes: []string{completed}, Ordered: true,
		})
		require.NoError(t, err)
	}
	var ids []string
	for range events {
		e := newEvent(t, "org")
		ids = append(ids, e.ID)
		require.NoError(t, d.Emit(t.Context(), e))
	}
	stop := func() {}
	for i := range endpoints * events {
		if i%60 == 0 { // one process ends, another comes
			stop()
			_, stop = dispatchFor(t, path)
		}
		<-l.all
	}
	stop()
	for i := range endpoints {
		require.Equal(t, ids, l.taken["/"+organization(i)], "endpoint %d", i)
	}
}

// Of an ordered endpoint, only its first delivery can have been under way in a process that was
// killed, also where a retry has given that a later due time than others have.
func TestPoisonOfAnOrderedEndpoint(t *testing.T) {
	t.Parallel()
	s, path := backlog(t, 1, 3)
	e, err := s.Endpoint(t.Context(), endpointID(0))
	require.NoError(t, err)
	e.Ordered = true
	require.NoError(t, s.PutEndpoint(t.Context(), e))
	done := func(c alotwebhook.Claimed, state alotwebhook.DeliveryState) {
		lost, err := s.Finish(t.Context(), []alotwebhook.Outcome{{
			DeliveryID: c.DeliveryID, Token: c.Token, State: state, HoldsUp: time.Hour,
			Attempt: alotwebhook.Attempt{Number: c.Attempt, StartedAt: time.Now(), StatusCode: 500},
		}})
		require.NoError(t, err)
		require.Empty(t, lost)
	}
	first := awaitClaim(t, s, 1, time.Hour)[0]
	done(first, alotwebhook.StatePending)
	_, err = s.Claim(t.Context(), alotwebhook.ClaimRequest{PerEndpoint: 1, Lease: time.Hour}) // it claims no more
	require.NoError(t, err)
	for range 3 {
		require.Equal(t, []string{first.DeliveryID}, childClaims(t, path, 1, 50*time.Millisecond))
	}
	for i := range 3 {
		c := awaitClaim(t, s, 1, time.Hour)[0]
		require.Equal(t, i == 0, c.DeliveryID == first.DeliveryID)
		require.Equal(t, map[bool]int{true: 4, false: 1}[i == 0], c.Claims)
		done(c, alotwebhook.StateDelivered)
	}
}

// The events of a call are due behind those of the calls before, however many they are.
func TestOrderOfCalls(t *testing.T) {
	t.Parallel()
	s := open(t, newPath(t))
	e := putEndpoint(t, s, 0, "org")
	events := make([]alotwebhook.Event, 10_000)
	for i := range events {
		events[i] = newEvent(t, "org")
	}
	before := time.Now()
	require.NoError(t, s.Enqueue(t.Context(), events))
	first, err := s.Delivery(t.Context(), alotwebhook.DeliveryID(events[0].ID, e.ID))
	require.NoError(t, err)
	require.WithinRange(t, first.NextAttemptAt, before.Truncate(time.Microsecond), time.Now())
}
