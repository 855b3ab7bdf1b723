package verify

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// figure is the result for one subject and one size.
type figure struct {
	time        time.Duration // the median time of a call
	ratio       float64       // the median of a call's time divided by the bare form's
	allocations uint64        // the number in a call
}

// measure measures all subjects in turns. The first is the bare form.
func measure(subjects []subject, rounds int, turn time.Duration) ([]figure, error) {
	times := make([][]float64, len(subjects))
	ratios := make([][]float64, len(subjects))
	calls := make([]int, len(subjects))
	for i, s := range subjects {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		calls[i] = callsIn(turn, s)
	}
	for range rounds {
		round := make([]float64, len(subjects))
		for i, s := range subjects {
			runtime.GC()            // so that no subject pays for another's garbage
			timeOf(s, calls[i]/4+1) // fills the pools that the collection has emptied
			round[i] = float64(timeOf(s, calls[i])) / float64(calls[i])
		}
		for i := range subjects {
			times[i] = append(times[i], round[i])
			ratios[i] = append(ratios[i], round[i]/round[0])
		}
	}
	figures := make([]figure, len(subjects))
	for i, s := range subjects {
		figures[i] = figure{time.Duration(median(times[i])), median(ratios[i]), allocations(s)}
	}
	return figures, nil
}

// callsIn returns how often a subject can be called in a turn, at least 1.
func callsIn(turn time.Duration, s subject) int {
	for n := 1; ; n *= 2 {
		if took := timeOf(s, n); took > turn/8 {
			return max(1, int(float64(n)*float64(turn)/float64(took)))
		}
	}
}

func timeOf(s subject, calls int) time.Duration {
	began := time.Now()
	for range calls {
		_ = s.call(s.body) // never fails, as check has shown
	}
	return time.Since(began)
}

// allocations returns the number of allocations in a call, as an average over many calls, so
// that the first filling of a pool does not count.
func allocations(s subject) uint64 {
	const calls = 100
	var before, after runtime.MemStats
	_ = s.call(s.body)
	runtime.ReadMemStats(&before)
	timeOf(s, calls)
	runtime.ReadMemStats(&after)
	return (after.Mallocs - before.Mallocs) / calls
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
