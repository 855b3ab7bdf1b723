// Package health tells an orchestrator how a dispatcher does.
//
//	mux.Handle("GET /livez", health.Live(dispatcher))
//	mux.Handle("GET /readyz", health.Ready(dispatcher, nil))
//
// Both respond with 200 or 503 and a small JSON object: status is "ok" or "failing", and problem
// says in words what is wrong and what to do. They tell nothing of customers. The text of a
// store's error is in the log only: see [alotwebhook.Config.Logger].
package health

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// Live returns a handler that fails only if a new process would do better: the claimer is stuck.
// While the store fails, a process is alive: it tries again by itself, and a restart would only
// cost what is under way. So is one that has nothing to do, or does not call Run.
func Live(d *alotwebhook.Dispatcher) http.Handler {
	return handler(func(context.Context) report {
		h := d.Health()
		return describe(h).orStuck(h)
	})
}

// Options says what a process is there for. Nil stands for the defaults.
type Options struct {
	// EmitOnly is for a process that does not call Run.
	// Defaults to false: a process is not ready until it runs.
	EmitOnly bool
	// Timeout is how long the store may take to answer, at least 1 ms.
	// Defaults to 2 s.
	Timeout time.Duration
}

// Ready returns a handler that fails while the process cannot do its work: the store does not
// answer, claims fail or outcomes cannot be stored, or Run does not run. It asks the store for one
// endpoint that does not exist, which is one look-up in an index.
func Ready(d *alotwebhook.Dispatcher, opts *Options) http.Handler {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Timeout < time.Millisecond {
		o.Timeout = 2 * time.Second
	}
	p := prober{d: d}
	return handler(func(ctx context.Context) report {
		h := d.Health()
		r := describe(h)
		switch {
		case !o.EmitOnly && !h.Running:
			return r.fails("Run does not run: it has not been called yet, or it has ended")
		case h.StoreAway:
			return r.fails("the store takes no outcomes; hardly anything is sent until it does, and the log has its error")
		case h.ClaimError != nil:
			return r.fails("the newest claim failed; it is tried again, and the log has the error of the store")
		}
		if !p.answers(ctx, o.Timeout) {
			return r.fails("the store does not answer; is the database there, and has the pool a free connection?")
		}
		return r.orStuck(h)
	})
}

// prober asks the store.
type prober struct {
	d *alotwebhook.Dispatcher

	mu    sync.Mutex
	asked *question // has no answer yet; nil: none
}

// question is one that the store was asked.
type question struct {
	ctx      context.Context // ends when the time is over in which an answer counts
	answered chan struct{}   // closed with the answer
	well     bool            // the answer
}

// answers reports whether the store answers in that time. Probes that come at once share one question
// and its time. While it has no answer, no other is asked: a store may ignore its context.
func (p *prober) answers(ctx context.Context, timeout time.Duration) bool {
	q := p.question(timeout)
	select {
	case <-q.answered:
		return q.well
	case <-q.ctx.Done():
	case <-ctx.Done():
	}
	select {
	case <-q.answered: // and its context has ended since
		return q.well
	default:
		return false
	}
}

// question returns the question under way, or asks one.
func (p *prober) question(timeout time.Duration) *question {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked == nil {
		ctx, cancel := context.WithTimeout(context.Background(), timeout) // no probe that goes ends it for others
		p.asked = &question{ctx: ctx, answered: make(chan struct{})}
		go p.ask(p.asked, cancel)
	}
	return p.asked
}

// ask asks the store.
func (p *prober) ask(q *question, cancel context.CancelFunc) {
	defer cancel()
	_, err := p.d.Endpoint(q.ctx, "wh_00000000000000000000000000")
	q.well = err == nil || errors.Is(err, alotwebhook.ErrNotFound)
	p.mu.Lock()
	p.asked = nil
	p.mu.Unlock()
	close(q.answered)
}

// report is the body of a response.
type report struct {
	Status     string `json:"status"`
	Problem    string `json:"problem,omitempty"`
	Running    bool   `json:"running"`
	InFlight   int    `json:"inFlight"`
	Waiting    int    `json:"waiting"`
	Unrecorded int    `json:"unrecorded"`
	// ClaimedSecondsAgo is left out before the first claim. A claimer that has nothing to do claims
	// every few hundred milliseconds.
	ClaimedSecondsAgo *float64 `json:"claimedSecondsAgo,omitempty"`
	StuckSeconds      float64  `json:"stuckSeconds,omitempty"`
	// Proxy says what is wrong with the host's proxy, and ProxyFailingSeconds for how long it has been.
	// That is no failure of the process, which may have pages to show.
	Proxy               string  `json:"proxy,omitempty"`
	ProxyFailingSeconds float64 `json:"proxyFailingSeconds,omitempty"`
}

func describe(h alotwebhook.Health) report {
	r := report{Status: "ok", Running: h.Running, InFlight: h.InFlight, Waiting: h.Waiting, Unrecorded: h.Unrecorded, StuckSeconds: seconds(h.Stuck)}
	if !h.ClaimedAt.IsZero() {
		ago := seconds(time.Since(h.ClaimedAt))
		r.ClaimedSecondsAgo = &ago
	}
	if h.ProxyReason != "" {
		r.Proxy, r.ProxyFailingSeconds = string(h.ProxyReason), seconds(time.Since(h.ProxySince))
	}
	return r
}

// seconds returns a time in seconds, to the millisecond.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

func (r report) fails(problem string) report {
	r.Status, r.Problem = "failing", problem
	return r
}

// orStuck fails if the claimer is stuck.
func (r report) orStuck(h alotwebhook.Health) report {
	if h.Stuck == 0 {
		return r
	}
	return r.fails("the claimer is stuck: a call of the store has not returned although its time is over; start a new process, and keep the goroutines of this one for the search")
}

// handler responds with a report.
func handler(ask func(context.Context) report) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		r := ask(req.Context())
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if r.Status != "ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(r) // whoever asked has gone
	})
}
