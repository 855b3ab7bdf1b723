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

// ledger is the receiver. Each delivery is on disk before its response of 204.
type ledger struct {
	url  string
	path string
	file *os.File

	entries chan entry

	mu       sync.Mutex
	senders  map[string]sender
	hangs    string // the sender that gets no response
	received int
}

// sender counts the requests of one process.
type sender struct {
	busy     int // under way
	received int // written to the ledger
	cutOff   int // whose sender was gone before the response
}

// entry is a line to be written.
type entry struct {
	line string
	done chan error
}

func newLedger(t *testing.T) *ledger {
	l := &ledger{path: filepath.Join(t.TempDir(), "ledger"), senders: map[string]sender{}, entries: make(chan entry)}
	var err error
	l.file, err = os.Create(l.path)
	require.NoError(t, err)
	go l.write()
	server := httptest.NewServer(l)
	l.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		close(l.entries)
	})
	return l
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.UserAgent()
	l.note(name, sender{busy: 1})
	defer l.note(name, sender{busy: -1})
	body, err := io.ReadAll(r.Body)
	if err != nil {
		l.note(name, sender{cutOff: 1})
		return
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
	time.Sleep(rand.N(50 * time.Millisecond)) // takes some time, so that kills hit requests in flight
	if err := l.sync(event.ID + " " + r.URL.Path + " " + name); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	l.note(name, sender{received: 1})
	if l.hanging(name) {
		<-r.Context().Done()
	}
	if r.Context().Err() != nil { // the sender hung up
		l.note(name, sender{cutOff: 1})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// note adds to the counts of a sender.
func (l *ledger) note(name string, more sender) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.senders[name]
	s.busy += more.busy
	s.received += more.received
	s.cutOff += more.cutOff
	l.senders[name] = s
	l.received += more.received
}

func (l *ledger) sender(name string) sender {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.senders[name]
}

// hangOn makes the ledger send no responses to a sender.
func (l *ledger) hangOn(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hangs = name
}

func (l *ledger) hanging(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hangs == name
}

// catchAtWork waits for a random instant, up to within from when one of the processes was seen
// at work, at which it has requests under way. It returns that process and how many. Another may
// own no endpoint, and never be at work.
func (l *ledger) catchAtWork(t *testing.T, processes []*process, random *rand.Rand, within time.Duration) (p *process, busy int) {
	t.Helper()
	await(t, "nobody delivers", func() bool {
		for _, i := range random.Perm(len(processes)) {
			p = processes[i]
			if l.sender(p.name).busy == 0 {
				continue
			}
			pauseUpTo(random, within)
			busy = l.sender(p.name).busy
			return busy > 0
		}
		return false
	})
	return p, busy
}

// sum returns how many deliveries were received in all.
func (l *ledger) sum() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.received
}

// sync writes a line, and returns once it is on disk.
func (l *ledger) sync(line string) error {
	e := entry{line, make(chan error, 1)}
	l.entries <- e
	return <-e.done
}

// write writes the entries. Those that come during a sync share the next one.
func (l *ledger) write() {
	defer l.file.Close()
	for e := range l.entries {
		batch := l.gather(e)
		var lines strings.Builder
		for _, e := range batch {
			fmt.Fprintln(&lines, e.line)
		}
		_, err := l.file.WriteString(lines.String())
		if err == nil {
			err = l.file.Sync()
		}
		for _, e := range batch {
			e.done <- err
		}
	}
}

func (l *ledger) gather(first entry) []entry {
	batch := []entry{first}
	for {
		select {
		case e, open := <-l.entries:
			if !open {
				return batch
			}
			batch = append(batch, e)
		default:
			return batch
		}
	}
}

// tally is the content of the ledger at the end, read from disk.
type tally struct {
	deliveries int            // all lines
	lost       int            // missing deliveries of acknowledged events
	duplicates int            // lines of deliveries that had come before
	repeated   map[string]int // the same, by the sender of the earlier line
	unreported int            // events that came although their emitter was killed before it reported them
}

func (l *ledger) tally(t *testing.T, acknowledged []string) tally {
	senders := l.read(t)
	sum := tally{repeated: map[string]int{}}
	come := map[string]bool{}
	for delivery, names := range senders {
		sum.deliveries += len(names)
		sum.duplicates += len(names) - 1
		for _, name := range names[:len(names)-1] {
			sum.repeated[name]++
		}
		event, _, _ := strings.Cut(delivery, " ")
		come[event] = true
	}
	for _, event := range acknowledged {
		delete(come, event)
		for _, path := range endpointPaths {
			if len(senders[event+" "+path]) == 0 {
				sum.lost++
				t.Logf("lost: %s to %s", event, path)
			}
		}
	}
	sum.unreported = len(come)
	return sum
}

// read returns the senders of each delivery, in the order of their lines. The key is the event
// id and the endpoint's path.
func (l *ledger) read(t *testing.T) map[string][]string {
	file, err := os.Open(l.path)
	require.NoError(t, err)
	defer file.Close()
	senders := map[string][]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		at := strings.LastIndexByte(lines.Text(), ' ')
		require.Positive(t, at, "a line of the ledger is cut short")
		delivery, name := lines.Text()[:at], lines.Text()[at+1:]
		senders[delivery] = append(senders[delivery], name)
	}
	require.NoError(t, lines.Err())
	return senders
}
