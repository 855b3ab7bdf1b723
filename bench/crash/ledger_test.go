package crash

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// ledger is the receiver. What it answered 204 to is on disk.
type ledger struct {
	url  string
	path string

	mu   sync.Mutex
	file *os.File
	busy map[string]int // requests being answered, by the sender's name
}

func newLedger(t *testing.T) *ledger {
	l := &ledger{path: filepath.Join(t.TempDir(), "ledger"), busy: map[string]int{}}
	var err error
	l.file, err = os.Create(l.path)
	require.NoError(t, err)
	server := httptest.NewServer(l)
	l.url = server.URL
	t.Cleanup(func() {
		server.Close()
		_ = l.file.Close()
	})
	return l
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer l.enter(r.UserAgent())()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender was killed
	}
	if err := alotwebhook.Verify(body, r.Header.Get(alotwebhook.SignatureHeader), secret); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	event, err := alotwebhook.ParseEvent(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond) // a receiver at work, so that kills find something in flight
	if err := l.write(event.ID, r.URL.Path); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (l *ledger) enter(name string) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy[name]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.busy[name]--
	}
}

func (l *ledger) inFlight(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy[name]
}

func (l *ledger) write(eventID, path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := fmt.Fprintln(l.file, eventID, path); err != nil {
		return err
	}
	return l.file.Sync()
}

// read counts the lines by event and endpoint.
func (l *ledger) read() (map[string]int, error) {
	file, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	times := map[string]int{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		times[lines.Text()]++
	}
	return times, lines.Err()
}

func (l *ledger) lines() (n int) {
	times, _ := l.read()
	for _, k := range times {
		n += k
	}
	return n
}

// compare counts the deliveries of acknowledged events that are missing, and
// those that came again.
func (l *ledger) compare(t *testing.T, acknowledged []string) (lost, duplicates int) {
	times, err := l.read()
	require.NoError(t, err)
	for _, n := range times {
		duplicates += n - 1
	}
	for _, id := range acknowledged {
		for _, path := range endpointPaths {
			if times[id+" "+path] == 0 {
				lost++
				t.Logf("lost: %s to %s", strings.TrimSpace(id), path)
			}
		}
	}
	return lost, duplicates
}
