package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/usage"
)

const receiverRole = "load receiver"

// receivers are all receivers of a crowd: each endpoint has a loopback address of its own, so
// that connections are kept for each, as in production.
type receivers struct {
	urls    []string
	healthy []bool        // whether each of them always is
	healed  chan struct{} // closed when all are healthy
	latency times

	mu    sync.Mutex
	seen  map[uint64]struct{}
	last  time.Time     // when the last event arrived at a healthy endpoint
	gap   time.Duration // the longest time without one, since it was last taken
	since time.Duration // the same, since the last mark
	twice int
}

// arrivals describes the requests to the receivers since they were last asked.
type arrivals struct {
	Latency Spread // of healthy endpoints
	Gap     time.Duration
	Twice   int // deliveries that arrived again after a 2xx, since the start
	CPU     time.Duration
}

// eventData is the data of each event.
type eventData struct {
	At  int64  `json:"at"` // when the emit began, in nanoseconds since 1970
	Pad string `json:"pad"`
}

// receive is the role of the receivers. The task says how each of them behaves.
func receive(_ context.Context, text json.RawMessage) (child.Handler, error) {
	var behaviours []string
	if err := json.Unmarshal(text, &behaviours); err != nil {
		return nil, err
	}
	r := &receivers{healed: make(chan struct{}), seen: map[uint64]struct{}{}, last: time.Now()}
	if err := r.listen(behaviours); err != nil {
		return nil, err
	}
	heal := sync.OnceFunc(func() { close(r.healed) })
	return func(_ context.Context, method string, argument json.RawMessage) (any, error) {
		switch method {
		case "urls":
			return r.urls, nil
		case "sample":
			return r.sample(), nil
		case "mark":
			return nil, r.mark()
		case "gap":
			return r.gapSinceMark(), nil
		case "heal":
			heal()
			return nil, nil
		case "missing":
			var keys []uint64
			if err := json.Unmarshal(argument, &keys); err != nil {
				return nil, err
			}
			return r.missing(keys), nil
		}
		return nil, fmt.Errorf("receivers have no method %q", method)
	}, nil
}

func (r *receivers) listen(behaviours []string) error {
	for i, behaviour := range behaviours {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.9.%d.%d:0", i/250, 1+i%250))
		if err != nil {
			return err
		}
		r.urls = append(r.urls, fmt.Sprintf("http://%s/%d", l.Addr(), i))
		r.healthy = append(r.healthy, behaviour == healthy)
		handle := http.HandlerFunc(r.receive)
		if behaviour != healthy {
			handle = r.misbehave(behaviour)
		}
		go func() { _ = http.Serve(l, handle) }() // serves until the process ends
	}
	return nil
}

// misbehave hangs or fails until all are healed.
func (r *receivers) misbehave(behaviour string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		select {
		case <-r.healed:
			r.receive(w, req)
			return
		default:
		}
		if behaviour == hanging {
			_, _ = io.Copy(io.Discard, req.Body) // so that the end of the connection is seen
			select {
			case <-r.healed:
			case <-req.Context().Done():
			}
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (r *receivers) receive(w http.ResponseWriter, req *http.Request) {
	at := time.Now()
	endpoint, err := strconv.Atoi(strings.TrimPrefix(req.URL.Path, "/"))
	if err != nil || endpoint < 0 || endpoint >= len(r.healthy) {
		http.NotFound(w, req)
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	e, err := alotwebhook.ParseEvent(body)
	if err != nil {
		http.Error(w, "no event", http.StatusBadRequest)
		return
	}
	data, err := alotwebhook.DecodeData[eventData](e)
	if err != nil {
		http.Error(w, "other data", http.StatusBadRequest)
		return
	}
	r.note(key(e.ID, endpoint), at, at.Sub(time.Unix(0, data.At)), r.healthy[endpoint])
	w.WriteHeader(http.StatusNoContent)
}

// note keeps what has arrived. Only what has been healthy all the time counts for the latency
// and the gaps.
func (r *receivers) note(k uint64, at time.Time, took time.Duration, healthy bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if healthy {
		r.passed(at)
		r.last = at
	}
	if _, again := r.seen[k]; again {
		r.twice++
		return
	}
	r.seen[k] = struct{}{}
	if healthy {
		r.latency.add(took)
	}
}

// passed counts the time since the last arrival as one without any.
func (r *receivers) passed(now time.Time) {
	r.gap = max(r.gap, now.Sub(r.last))
	r.since = max(r.since, now.Sub(r.last))
}

func (r *receivers) sample() arrivals {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passed(time.Now())
	a := arrivals{r.latency.take(), r.gap, r.twice, usage.CPU()}
	r.gap = 0
	return a
}

func (r *receivers) mark() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since = 0
	return nil
}

func (r *receivers) gapSinceMark() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passed(time.Now())
	return r.since
}

// missing returns how many have not arrived.
func (r *receivers) missing(keys []uint64) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, k := range keys {
		if _, ok := r.seen[k]; !ok {
			n++
		}
	}
	return n
}
