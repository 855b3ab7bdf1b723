package egress

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"github.com/alot/alotwebhook/internal/loglimit"
	"github.com/alot/alotwebhook/internal/pace"
)

const (
	// firstWait and lastWait bound how long nothing is claimed after a fault of the proxy. The longest
	// is short enough that a store does not take the process for dead.
	firstWait = 100 * time.Millisecond
	lastWait  = 2 * time.Second
	// current is how long a fault says something about the proxy: nobody may have asked it since.
	current = time.Minute
)

// Watch knows how a proxy does. While it fails, whoever claims deliveries is to claim one at a time, so
// that a backlog is not claimed and released over and over. The methods may be called from many
// goroutines at once; those of a nil Watch say that there is no proxy.
type Watch struct {
	log   *slog.Logger
	proxy string // host and port, for the log
	lines loglimit.Limiter

	mu       sync.Mutex
	kind     Kind          // of the newest fault; "" while the proxy does well
	since    time.Time     // the first of these faults
	newest   time.Time     // the newest of them
	wait     time.Duration // after the newest
	claim    time.Time     // when the next claim may be made
	tried    bool          // a claim was made since the wait began
	answered time.Time     // when the proxy answered last
	asking   int           // dials under way
	changed  chan struct{} // wakes Await
}

func newWatch(proxy *url.URL, log *slog.Logger) *Watch {
	return &Watch{log: log, proxy: proxy.Host, changed: make(chan struct{}, 1)}
}

// Failing returns what is wrong with the proxy, and since when; "" while nothing is known to be.
func (w *Watch) Failing() (kind Kind, since time.Time) {
	if w == nil {
		return "", time.Time{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.fails(time.Now()) {
		return "", time.Time{}
	}
	return w.kind, w.since
}

// Fails reports whether the proxy is known to fail.
func (w *Watch) Fails() bool {
	kind, _ := w.Failing()
	return kind != ""
}

// fails is Fails; the caller holds mu.
func (w *Watch) fails(now time.Time) bool { return w.kind != "" && now.Sub(w.newest) < current }

// Await waits until the next claim may be made: at once unless the proxy fails. It returns false when
// ctx ends.
func (w *Watch) Await(ctx context.Context) bool {
	if w == nil {
		return true
	}
	for began := time.Now(); ; {
		wait := w.untilClaim(time.Now(), began)
		if wait <= 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-w.changed:
		case <-time.After(wait):
		}
	}
}

// untilClaim returns how long to wait at least, for somebody who has waited since began.
func (w *Watch) untilClaim(now, began time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.fails(now) {
		return 0
	}
	wait := w.claim.Sub(now)
	if w.asking > 0 { // its outcome may say more
		wait = max(wait, began.Add(lastWait).Sub(now))
	}
	if wait <= 0 {
		w.claim, w.tried = now.Add(firstWait), true
	}
	return wait
}

// begin notes that the proxy is asked for a tunnel. It must be followed by end.
func (w *Watch) begin() {
	if w != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asking++
	}
}

// end notes what came of it, and returns the error, with the time to wait if it is a fault of the
// proxy. An attempt that was cut off says nothing.
func (w *Watch) end(err error, cutOff bool) error {
	if w == nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	defer pace.Wake(w.changed)
	w.asking--
	fault := new(Error)
	switch _, isFault := IsFault(err); {
	case cutOff:
	case isFault && errors.As(err, &fault):
		fault.Wait = w.failed(fault, time.Now())
	default:
		w.worked(time.Now())
	}
	return err
}

// failed notes a fault and returns how long to wait; the caller holds mu. Of faults at once only one
// makes the wait longer.
func (w *Watch) failed(fault *Error, now time.Time) time.Duration {
	switch {
	case !w.fails(now):
		w.since, w.wait = now, firstWait
		if _, ok := w.lines.Allow("fails"); ok {
			w.log.Error("alotwebhook: the proxy fails; deliveries wait until it works, and none is lost", "proxy", w.proxy, "reason", string(fault.Kind), "error", fault)
		}
	case w.tried:
		w.wait = min(2*w.wait, lastWait)
	}
	w.tried = false
	w.kind, w.newest = fault.Kind, now
	wait := w.wait/2 + rand.N(w.wait/2+1)
	if next := now.Add(wait); next.After(w.claim) {
		w.claim = next
	}
	return wait
}

// worked notes an answer; the caller holds mu.
func (w *Watch) worked(now time.Time) {
	w.answered = now
	if w.kind == "" {
		return
	}
	if _, ok := w.lines.Allow("works"); ok {
		w.log.Info("alotwebhook: the proxy works again", "proxy", w.proxy, "after", now.Sub(w.since).Round(time.Millisecond))
	}
	w.kind, w.claim = "", time.Time{}
}

// answersNow notes that the proxy has answered a question that asked for no tunnel. That ends no fault:
// it may answer and yet make none.
func (w *Watch) answersNow() {
	if w != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.answered = time.Now()
	}
}

// answeredSince reports whether the proxy has answered anybody since a time.
func (w *Watch) answeredSince(t time.Time) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answered.After(t)
}

// refuses logs that the proxy refuses a target, with what it says about that.
func (w *Watch) refuses(to target, status int, words string) {
	if w == nil {
		return
	}
	if _, ok := w.lines.Allow("refuses"); ok {
		w.log.Warn("alotwebhook: the proxy refuses a host", "proxy", w.proxy, "host", to.host, "port", to.port, "status", status, "words", words)
	}
}
