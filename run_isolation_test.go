package alotwebhook_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// crowd is a dispatcher's customers: some whose receivers are bad in one way, each with a
// backlog, and healthy ones, to which events are emitted all the time.
type crowd struct {
	badOrganizations, badEndpoints, backlog int // endpoints of each organization, events of each
	bad                                     func(*http.Request) (*http.Response, error)
	healthy                                 int
}

// answersAfter is a receiver that takes so long.
func answersAfter(d time.Duration, code int) func(*http.Request) (*http.Response, error) {
	respond := slowly(d)
	return func(r *http.Request) (*http.Response, error) {
		resp, err := respond(r, 0)
		if err == nil {
			resp.StatusCode = code
		}
		return resp, err
	}
}

// No customer's receivers, whatever they do and however many they are, hold up those of
// others: from the first second on, and while whole regions hang.
func TestCustomersAreIsolated(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]crowd{
		"nobody is bad":                          {healthy: 50},
		"8 endpoints answer 200 after 14 s":      {1, 8, 400, answersAfter(14*time.Second, 200), 50},
		"50 endpoints answer 200 after 14 s":     {1, 50, 200, answersAfter(14*time.Second, 200), 50},
		"50 endpoints answer 500 after 14 s":     {1, 50, 200, answersAfter(14*time.Second, 500), 50},
		"300 endpoints hang":                     {1, 300, 100, hang, 50},
		"3,000 endpoints hang":                   {1, 3000, 5, hang, 50},
		"20 organizations with 50 that hang":     {20, 50, 20, hang, 50},
		"half of 400 organizations hang":         {200, 1, 50, hang, 200},
		"half of 2,000 organizations hang":       {1000, 1, 5, hang, 1000},
		"half of 400 answer 503 after 5 seconds": {200, 1, 50, answersAfter(5*time.Second, 503), 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if raceEnabled && c.badOrganizations*c.badEndpoints > 500 {
				t.Skip("takes minutes under the race detector; .ci/run runs it without")
			}
			synctest.Test(t, func(t *testing.T) { c.run(t) })
		})
	}
}

func (c crowd) run(t *testing.T) {
	var mu sync.Mutex
	received := map[string]time.Time{} // by event
	net := &receivers{respond: func(r *http.Request, _ int) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Host, "bad") {
			return c.bad(r)
		}
		time.Sleep(2 * time.Millisecond)
		event, err := alotwebhook.ParseEvent(bodyOf(r))
		mu.Lock()
		defer mu.Unlock()
		received[event.ID] = time.Now()
		return status(http.StatusNoContent), err
	}}
	w := newWorld(t, alotwebhook.Config{MaxEndpoints: -1}, net)
	for org := range c.badOrganizations {
		for i := range c.badEndpoints {
			w.endpointOf(t, fmt.Sprintf("bad-%d", org), fmt.Sprintf("bad-%d-%d.example.com", org, i))
		}
		for range c.backlog {
			w.emitTo(t, fmt.Sprintf("bad-%d", org))
		}
	}
	for org := range c.healthy {
		w.endpointOf(t, fmt.Sprintf("org-%d", org), fmt.Sprintf("healthy-%d.example.com", org))
	}
	defer w.run(t)()
	emitted := map[string]time.Time{}
	for i := range 2000 { // 100 a second
		emitted[w.emitTo(t, fmt.Sprintf("org-%d", i%c.healthy)).ID] = time.Now()
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(time.Second)
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, received, len(emitted), "every event has arrived")
	var took []time.Duration
	for id, at := range emitted {
		took = append(took, received[id].Sub(at))
	}
	slices.Sort(took)
	require.LessOrEqual(t, took[len(took)*99/100], 100*time.Millisecond, "the slowest of 100")
	require.LessOrEqual(t, took[len(took)-1], 250*time.Millisecond, "the slowest of all, in the first second")
}
