package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
)

// contender is one way to deliver n payloads to a receiver.
type contender struct {
	name string
	// prepare does the work that is not measured, and returns the work that is.
	prepare func(ctx context.Context, rx *receiver, n int) (work, error)
}

// work is a prepared contender.
type work struct {
	run   func(ctx context.Context) error
	close func() error
}

// result is one contender in one round.
type result struct {
	perSecond float64
	// cpu is the processor time of this process for a delivery, without the
	// receiver's. It is 0 if the system does not tell.
	cpu time.Duration
}

func measure(ctx context.Context, c contender, rx *receiver, n int) (result, error) {
	w, err := c.prepare(ctx, rx, n)
	if err != nil {
		return result{}, err
	}
	defer w.close()
	before, err := rx.count(ctx)
	if err != nil {
		return result{}, err
	}
	runtime.GC() // so that no contender pays for another's garbage
	start, cpu := time.Now(), cpuTime()
	if err := w.run(ctx); err != nil {
		return result{}, err
	}
	elapsed, cpu := time.Since(start), cpuTime()-cpu
	after, err := rx.count(ctx)
	if err != nil {
		return result{}, err
	}
	if got := after - before; got != n {
		return result{}, fmt.Errorf("the receiver got %d requests, not %d", got, n)
	}
	return result{perSecond: float64(n) / elapsed.Seconds(), cpu: cpu / time.Duration(n)}, w.close()
}

// printTable prints a line for each contender. The others are compared with the first.
func printTable(w io.Writer, contenders []contender, results [][]result) {
	fmt.Fprintf(w, "%-34s%14s%14s%9s%7s%7s\n", "", "deliveries/s", "CPU µs each", "of raw", "from", "to")
	for i, c := range contenders {
		var rate, ratio []float64
		var cpu []time.Duration
		for round, r := range results[i] {
			rate = append(rate, r.perSecond)
			cpu = append(cpu, r.cpu)
			ratio = append(ratio, r.perSecond/results[0][round].perSecond)
		}
		fmt.Fprintf(w, "%-34s%14.0f%14.1f%9.2f%7.2f%7.2f\n", c.name, median(rate),
			float64(median(cpu))/float64(time.Microsecond), median(ratio), slices.Min(ratio), slices.Max(ratio))
	}
}

// median returns the middle value, or the lower one of two.
func median[T cmp.Ordered](s []T) T {
	s = slices.Sorted(slices.Values(s))
	return s[(len(s)-1)/2]
}
