package crash

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// host is a dispatcher in the process of the test, with its store and log under observation.
type host struct {
	*alotwebhook.Dispatcher
	store *observed
	log   *logbook
	stop  func() // ends Run and waits for it
}

func newHost(t *testing.T, store alotwebhook.Store, name string) *host {
	h := &host{store: &observed{Store: store, calls: map[string]calls{}}, log: &logbook{}, stop: func() {}}
	var err error
	h.Dispatcher, err = alotwebhook.NewDispatcher(h.store, config(name, h.log.handler()))
	require.NoError(t, err)
	return h
}

// run runs the dispatcher until stop is called or the test ends.
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

// load emits about 150 events a second, fewer than a dispatcher delivers, until stop is
// called. That returns their ids.
func (h *host) load(t *testing.T) (stop func() []string) {
	var enough atomic.Bool
	ids := make(chan []string, 1)
	go func() { ids <- emitUntil(t, h, 25*time.Millisecond, enough.Load) }()
	stop = sync.OnceValue(func() []string {
		enough.Store(true)
		return <-ids
	})
	t.Cleanup(func() { stop() })
	return stop
}

// observed is a store that counts its calls and keeps their errors. It is a Notifier if the
// store inside is.
type observed struct {
	alotwebhook.Store
	mu    sync.Mutex
	calls map[string]calls // keyed by method
	errs  []error
}

type calls struct{ begun, all, failed int } // all: those that have ended

func (o *observed) begin(method string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.calls[method]
	c.begun++
	o.calls[method] = c
}

func (o *observed) note(method string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.calls[method]
	c.all++
	if err != nil {
		c.failed++
		o.errs = append(o.errs, err)
	}
	o.calls[method] = c
}

func (o *observed) of(method string) calls {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[method]
}

// failedWith reports whether the error of a call contained a text.
func (o *observed) failedWith(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.ContainsFunc(o.errs, func(err error) bool { return strings.Contains(err.Error(), text) })
}

func (o *observed) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("%+v", o.calls)
}

// Enqueue implements [alotwebhook.Enqueuer].
func (o *observed) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	o.begin("enqueue")
	err := o.Store.Enqueue(ctx, events)
	o.note("enqueue", err)
	return err
}

// Claim implements [alotwebhook.Queue].
func (o *observed) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	o.begin("claim")
	result, err := o.Store.Claim(ctx, c)
	o.note("claim", err)
	return result, err
}

// Finish implements [alotwebhook.Queue].
func (o *observed) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	o.begin("finish")
	lost, err := o.Store.Finish(ctx, outcomes)
	o.note("finish", err)
	return lost, err
}

// requireEpisodes requires that the log has the beginning and the end of each series of
// failures, and nothing in between. There may be at most most series of each kind, and tries
// failed calls: more would show a busy loop.
func (h *host) requireEpisodes(t *testing.T, most, tries int) {
	for _, method := range []string{"claim", "finish", "listen"} {
		began := h.log.count(`the store fails; retrying until it recovers" operation=` + method)
		ended := h.log.count(`the store has recovered" operation=` + method)
		failed := h.store.of(method).failed
		t.Logf("%s: %d calls failed, %d beginnings and %d ends logged", method, failed, began, ended)
		require.Equal(t, began, ended, h.log)
		require.Equal(t, failed > 0, began > 0, h.log)
		require.LessOrEqual(t, began, most, h.log)
		require.LessOrEqual(t, failed, tries)
	}
}

// Notify implements [alotwebhook.Notifier].
func (o *observed) Notify() { o.Store.(alotwebhook.Notifier).Notify() }

// Listen implements [alotwebhook.Notifier].
func (o *observed) Listen(ctx context.Context, heard func()) error {
	o.begin("listen")
	err := o.Store.(alotwebhook.Notifier).Listen(ctx, heard)
	o.note("listen", err)
	return err
}

// logbook keeps the log of a dispatcher.
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
