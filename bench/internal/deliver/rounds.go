package deliver

import (
	"context"
	"fmt"
	"time"

	"github.com/alot/alotwebhook/bench/internal/report"
)

// Entry is a contender with what it delivers.
type Entry struct {
	Contender
	Load Load
}

// Rounds says how entries are measured. In each round, all take turns, because the speed of a
// machine drifts; and each is compared with the raw loop that ran right before it.
type Rounds struct {
	// Rounds is how many there are, from 1.
	Rounds int
	// Tolerate is the share of all processors that other processes may have, from 0 to 1.
	// A turn in which they had more is repeated, up to Repeats times.
	Tolerate float64
	Repeats  int
	// Limit is the most time for a turn, what goes before it included.
	Limit time.Duration
	// Progress is called before each turn.
	Progress func(text string)
}

// Measured holds the results of the rounds of one entry.
type Measured struct {
	Entry
	Raw, Results []Result
	// Repeated counts the turns that were repeated, and Disturbed those that count although
	// others had the processor, because they were repeated often enough.
	Repeated, Disturbed int
}

// Measure measures the entries.
func (r Rounds) Measure(ctx context.Context, entries []Entry) ([]Measured, error) {
	rx, err := StartReceiver(ctx)
	if err != nil {
		return nil, err
	}
	defer rx.Stop()
	all := make([]Measured, len(entries))
	for round := range r.Rounds {
		for i := range entries {
			all[i].Entry = entries[i]
			r.Progress(fmt.Sprintf("%s: round %d of %d", entries[i].Name, round+1, r.Rounds))
			if err := r.turn(ctx, &all[i], rx); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// turn measures an entry once, or as often as it takes.
func (r Rounds) turn(ctx context.Context, m *Measured, rx *Receiver) error {
	for try := 0; ; try++ {
		limited, cancel := context.WithTimeout(ctx, r.Limit)
		raw, result, err := MeasureBeside(limited, m.Contender, rx, m.Load)
		cancel()
		if err != nil {
			return err
		}
		quiet := max(raw.Others, result.Others) <= r.Tolerate
		if !quiet && try < r.Repeats {
			m.Repeated++
			r.Progress(fmt.Sprintf("%s: again, since others had %.0f %% of the processors", m.Name, 100*max(raw.Others, result.Others)))
			continue
		}
		if !quiet {
			m.Disturbed++
		}
		m.Raw, m.Results = append(m.Raw, raw), append(m.Results, result)
		return nil
	}
}

// Of returns the figure of a value of each round.
func (m Measured) Of(value func(Result) float64) *report.Figure {
	values := make([]float64, len(m.Results))
	for i, r := range m.Results {
		values[i] = value(r)
	}
	return report.Of(values...)
}

// OfRaw returns the deliveries a second as a share of the raw loop's in the same round.
func (m Measured) OfRaw() *report.Figure {
	values := make([]float64, len(m.Results))
	for i, r := range m.Results {
		values[i] = r.PerSecond / m.Raw[i].PerSecond
	}
	return report.Of(values...)
}

// Values of a result, in the units of the tables.
var (
	PerSecond  = func(r Result) float64 { return r.PerSecond }
	Dispatcher = func(r Result) float64 { return micros(r.Dispatcher) }
	Server     = func(r Result) float64 { return micros(r.Server) }
	Processor  = func(r Result) float64 { return micros(r.Dispatcher + r.Server) }
	Received   = func(r Result) float64 { return micros(r.Receiver) }
	WAL        = func(r Result) float64 { return r.WAL }
	Stored     = func(r Result) float64 { return r.Stored.PerSecond }
	StoredBy   = func(r Result) float64 { return micros(r.Stored.Server) }
	StoredWAL  = func(r Result) float64 { return r.Stored.WAL }
	Peak       = func(r Result) float64 { return float64(r.Peak) / (1 << 20) }
	Others     = func(r Result) float64 { return 100 * max(0, r.Others) }
)

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Table returns the table of what was measured. The first row is the raw loop.
func Table(title string, all []Measured) report.Table {
	t := report.Table{Title: title, Columns: []report.Column{
		{Name: "deliveries/s"},
		{Name: "of raw", Decimals: 2, Range: true},
		{Name: "dispatcher µs", Decimals: 1},
		{Name: "PostgreSQL µs", Decimals: 1},
		{Name: "receiver µs", Decimals: 1},
		{Name: "WAL bytes"},
		{Name: "to store: PostgreSQL µs", Decimals: 1},
		{Name: "to store: WAL bytes"},
		{Name: "MiB at most"},
	}}
	raw := Measured{}
	for _, m := range all {
		raw.Raw, raw.Results = append(raw.Raw, m.Raw...), append(raw.Results, m.Raw...)
	}
	raw.Name = Raw().Name
	for _, m := range append([]Measured{raw}, all...) {
		t.Rows = append(t.Rows, report.Row{Name: m.Name, Figures: []*report.Figure{
			m.Of(PerSecond), m.OfRaw(), m.Of(Dispatcher), m.Of(Server), m.Of(Received), m.Of(WAL), m.Of(StoredBy), m.Of(StoredWAL), m.Of(Peak),
		}})
	}
	return t
}

// Notes returns what a reader must know of the turns.
func (r Rounds) Notes(all []Measured) []string {
	repeated, disturbed := 0, 0
	for _, m := range all {
		repeated += m.Repeated
		disturbed += m.Disturbed
	}
	var notes []string
	if repeated > 0 {
		notes = append(notes, fmt.Sprintf("%d turns were repeated, because other processes had more than %.0f %% of the processors.", repeated, 100*r.Tolerate))
	}
	if disturbed > 0 {
		notes = append(notes, fmt.Sprintf("**%d of %d turns were disturbed** in the same way and count nevertheless: these figures mean little.", disturbed, r.Rounds*len(all)))
	}
	return notes
}
