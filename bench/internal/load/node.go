package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/stores"
	"github.com/alot/alotwebhook/bench/internal/usage"
)

const nodeRole = "load"

// emitters is how many goroutines of a process emit.
const emitters = 8

const eventType = "bench.happened"

// pad makes a payload of some 330 bytes.
var pad = strings.Repeat("x", 150)

// nodeTask tells a process of the host its work.
type nodeTask struct {
	Place  stores.Place
	Crowd  crowd
	PerSec float64 // events that it emits a second
	InTx   bool    // whether it emits in transactions of its own
	Writes float64 // rows of its own that it stores a second, beside
	Pages  float64 // pages of the history that it reads a second
}

// node is a process of the host: it emits, and it delivers.
type node struct {
	task       nodeTask
	host       *host
	dispatcher *alotwebhook.Dispatcher

	attempts, failed atomic.Int64 // failed ones are those to healthy receivers
	emits, writes    times
	refused, blocked atomic.Int64 // emits and writes that failed

	mu      sync.Mutex
	emitted []uint64 // what healthy endpoints must get
	problem string   // the last error
}

// activity describes the work of a node since it was last asked.
type activity struct {
	Attempts, Failed int64 // since the start; failed ones are those to healthy receivers
	Emits, Writes    Spread
	Refused, Blocked int64 // since the start
	Claims, Claimed  Spread
	Resident, Heap   float64 // MiB
	Goroutines       int
	Files, Sockets   int
	CPU              time.Duration // since the start
	Problem          string
}

// newConfig is the configuration of all dispatchers.
func newConfig(attempted func(alotwebhook.AttemptInfo)) *alotwebhook.Config {
	return &alotwebhook.Config{
		EventTypes:   []alotwebhook.EventType{{Name: eventType, Description: "For benchmarks."}},
		Retry:        alotwebhook.Schedule(2*time.Second, 10*time.Second, 10*time.Second, 10*time.Second),
		Timeout:      2 * time.Second,
		MaxEndpoints: -1,
		DisableAfter: -1,
		AllowHTTP:    true,
		AllowNets:    []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Logger:       slog.New(slog.DiscardHandler),
		Observer: &alotwebhook.Observer{Finished: func(r alotwebhook.FinishReport) {
			for _, a := range r.Attempts {
				attempted(a)
			}
		}},
	}
}

// serveNode is the role of such a process.
func serveNode(ctx context.Context, text json.RawMessage) (child.Handler, error) {
	n := &node{}
	if err := json.Unmarshal(text, &n.task); err != nil {
		return nil, err
	}
	var err error
	if n.host, err = openHost(ctx, n.task.Place); err != nil {
		return nil, err
	}
	n.dispatcher, err = alotwebhook.NewDispatcher(n.host.store, newConfig(n.attempted))
	if err != nil {
		return nil, errors.Join(err, n.host.close())
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- n.dispatcher.Run(running) }()
	working, rest := context.WithCancel(ctx)
	var workers sync.WaitGroup
	n.work(working, &workers)
	return func(_ context.Context, method string, _ json.RawMessage) (any, error) {
		switch method {
		case "sample":
			return n.sample(), nil
		case "rest": // no more emits
			rest()
			workers.Wait()
			return nil, nil
		case "emitted":
			return n.emitted, nil
		case "stop":
			stop()
			return nil, errors.Join(<-ended, n.host.close())
		}
		return nil, fmt.Errorf("a process under load has no method %q", method)
	}, nil
}

func (n *node) attempted(a alotwebhook.AttemptInfo) {
	n.attempts.Add(1)
	if a.Attempt.Reason != "" && !strings.HasPrefix(a.OrganizationID, hanging) && !strings.HasPrefix(a.OrganizationID, failing) {
		n.failed.Add(1)
	}
}

// work starts all that the host does beside delivering.
func (n *node) work(ctx context.Context, wg *sync.WaitGroup) {
	for range emitters {
		n.repeat(ctx, wg, n.task.PerSec/emitters, n.emit)
	}
	n.repeat(ctx, wg, n.task.Writes, n.write)
	n.repeat(ctx, wg, n.task.Pages, n.page)
}

// repeat does something so often a second, or as often as it can.
func (n *node) repeat(ctx context.Context, wg *sync.WaitGroup, perSecond float64, do func(context.Context)) {
	if perSecond <= 0 {
		return
	}
	wg.Go(func() {
		ticker := time.NewTicker(time.Duration(float64(time.Second) / perSecond)) // drops what is late
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				do(context.WithoutCancel(ctx)) // what has begun is finished
			case <-ctx.Done():
				return
			}
		}
	})
}

func (n *node) emit(ctx context.Context) {
	name, behaviour, endpoints := n.task.Crowd.organization(n.task.Crowd.anyOrganization())
	began := time.Now()
	e, err := alotwebhook.NewEvent(eventType, name, eventData{began.UnixNano(), pad})
	if err == nil && n.task.InTx {
		err = n.host.emitTo(ctx, n.dispatcher, e)
	} else if err == nil {
		err = n.dispatcher.Emit(ctx, e)
	}
	n.emits.add(time.Since(began))
	if err != nil {
		n.refused.Add(1)
		n.note("emit", err)
		return
	}
	if behaviour != healthy {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, endpoint := range endpoints {
		n.emitted = append(n.emitted, key(e.ID, endpoint))
	}
}

func (n *node) write(ctx context.Context) {
	began := time.Now()
	err := n.host.write(ctx)
	n.writes.add(time.Since(began))
	if err != nil {
		n.blocked.Add(1)
		n.note("a row of the host's own", err)
	}
}

func (n *node) page(ctx context.Context) {
	name, _, _ := n.task.Crowd.organization(n.task.Crowd.anyOrganization())
	if _, _, err := n.dispatcher.DeliveryPage(ctx, alotwebhook.Filter{OrganizationID: name, Limit: 50}); err != nil {
		n.note("a page", err)
	}
}

func (n *node) note(what string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.problem = what + ": " + err.Error()
}

func (n *node) sample() activity {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	resident, _ := usage.Resident()
	files, sockets := usage.Descriptors()
	n.mu.Lock()
	defer n.mu.Unlock()
	a := activity{
		Attempts: n.attempts.Load(), Failed: n.failed.Load(), Emits: n.emits.take(), Writes: n.writes.take(),
		Refused: n.refused.Load(), Blocked: n.blocked.Load(),
		Claims: n.host.claims.took.take(), Claimed: n.host.claims.got.take(),
		Resident: mebi(resident), Heap: mebi(int64(memory.HeapAlloc)),
		Goroutines: runtime.NumGoroutine(), Files: files, Sockets: sockets,
		CPU: usage.CPU(), Problem: n.problem,
	}
	n.problem = ""
	return a
}

func mebi(bytes int64) float64 { return float64(bytes) / (1 << 20) }
