package crash

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// host is a dispatcher inside the test's own process, under observation.
type host struct {
	*alotwebhook.Dispatcher
	store *observed
	log   *logbook
	stop  func() // ends its Run and waits
}

func newHost(t *testing.T, store alotwebhook.Store, name string, timeout time.Duration) *host {
	h := &host{store: &observed{Store: store, calls: map[string]calls{}}, log: &logbook{}, stop: func() {}}
	var err error
	h.Dispatcher, err = alotwebhook.NewDispatcher(h.store, config(name, timeout, h.log.handler()))
	require.NoError(t, err)
	return h
}

// run delivers until stop is called or the test ends.
func (h *host) run(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(h.stop)
}

// emit emits n events and returns their ids.
func (h *host) emit(t *testing.T, n int) (ids []string) {
	for i := range n {
		event, err := newEvent(i)
		require.NoError(t, err)
		require.NoError(t, emit(t.Context(), h.Dispatcher, event))
		ids = append(ids, event.ID)
	}
	return ids
}

// observed is a store that counts what is asked of it, and what fails.
type observed struct {
	alotwebhook.Store
	mu    sync.Mutex
	calls map[string]calls // by method
}

type calls struct{ all, failed int }

func (o *observed) note(method string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.calls[method]
	c.all++
	if err != nil {
		c.failed++
	}
	o.calls[method] = c
}

func (o *observed) of(method string) calls {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[method]
}

func (o *observed) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("%+v", o.calls)
}

// Enqueue implements [alotwebhook.Enqueuer].
func (o *observed) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	err := o.Store.Enqueue(ctx, events)
	o.note("enqueue", err)
	return err
}

// Claim implements [alotwebhook.Queue].
func (o *observed) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	result, err := o.Store.Claim(ctx, c)
	o.note("claim", err)
	return result, err
}

// Finish implements [alotwebhook.Queue].
func (o *observed) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	lost, err := o.Store.Finish(ctx, outcomes)
	o.note("finish", err)
	return lost, err
}

// logbook keeps what a dispatcher logs.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) handler() slog.Handler { return slog.NewTextHandler(l, nil) }

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logbook) count(text string) int { return strings.Count(l.String(), text) }
