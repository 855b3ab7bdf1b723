package load

import (
	"slices"
	"sync"
	"time"
)

// times collects durations until they are taken.
type times struct {
	mu  sync.Mutex
	all []time.Duration
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, d)
}

// Spread says how durations were distributed, in milliseconds.
type Spread struct {
	Count    int
	P50, P99 float64
	Most     float64
}

// take returns the distribution of what was added since the last call.
func (t *times) take() Spread {
	t.mu.Lock()
	all := t.all
	t.all = nil
	t.mu.Unlock()
	if len(all) == 0 {
		return Spread{}
	}
	slices.Sort(all)
	at := func(share float64) float64 { return millis(all[min(len(all)-1, int(share*float64(len(all))))]) }
	return Spread{len(all), at(0.50), at(0.99), at(1)}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
