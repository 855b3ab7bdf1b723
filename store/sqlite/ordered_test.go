package sqlite_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"

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
