package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// figure is what was measured of a subject at one size.
type figure struct {
	time        time.Duration // the median of one call's
	ratio       float64       // the median of it over the bare form's
	allocations uint64        // of one call
}

// measure lets all subjects take turns. The first is the bare form.
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
			runtime.GC()            // nobody pays for another's garbage,
			timeOf(s, calls[i]/4+1) // or for pools and pages that it took away
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

// callsIn returns how often the subject can be called in a turn, at least once.
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
		_ = s.call(s.body) // checked before
	}
	return time.Since(began)
}

// allocations counts over many calls, so that a pool that is filled once weighs nothing.
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
