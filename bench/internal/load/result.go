package load

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/alot/alotwebhook/bench/internal/plot"
	"github.com/alot/alotwebhook/bench/internal/report"
	"github.com/alot/alotwebhook/bench/internal/usage"
)

// Result holds all observations of a run.
type Result struct {
	Config       Config
	Began        time.Time
	PostgreSQL   string // the version of the server, "" on SQLite
	Samples      []Sample
	Disturbances []Disturbed
	// Expected deliveries are those to healthy receivers of events whose emit returned
	// without an error; Missing ones of them never arrived. Twice counts arrivals of what
	// had arrived before.
	Expected, Missing, Twice int
	// Failed attempts are those to healthy receivers. One that took too long may have
	// arrived, and then its delivery arrives twice.
	Failed int64
	// LeftOver counts what was still pending some minutes after the last emit, and Drained
	// says how long the rest took.
	LeftOver int64
	Drained  time.Duration
}

// Sample is a part of the time, a minute if the load lasts for minutes.
type Sample struct {
	Minute   float64 // its end, since the start
	Attempts float64 // a second
	Latency  Spread  // from emit to healthy receivers
	Gap      float64 // seconds, the longest time without a delivery to them
	// Emits and Writes are the host's own times, in milliseconds. Refused and Blocked
	// count those with an error.
	Emits, Writes    Spread
	Refused, Blocked float64
	Claims, Claimed  Spread // milliseconds, and deliveries of a claim
	Resident, Heap   []float64
	Goroutines       []float64
	Sockets          []float64
	Database         figures
	// WALRate is KiB a second, WALEach bytes for an attempt.
	WALRate, WALEach float64
	// Dispatcher and Server are the processor time for an attempt, emits included, in µs.
	Dispatcher, Server float64
	Others             float64 // percent of all processors that other processes had
	Problem            string
}

// since returns what happened since an earlier reading.
func (r reading) since(p reading, began time.Time) Sample {
	passed := r.at.Sub(p.at)
	s := Sample{
		Minute: r.at.Sub(began).Minutes(), Latency: r.arrivals.Latency, Gap: r.arrivals.Gap.Seconds(),
		Database: r.database, WALRate: float64(r.server.WAL-p.server.WAL) / 1024 / passed.Seconds(),
	}
	var attempts int64
	var cpu time.Duration
	for i, n := range r.nodes {
		attempts += n.Attempts - p.nodes[i].Attempts
		cpu += n.CPU - p.nodes[i].CPU
		s.Refused += float64(n.Refused - p.nodes[i].Refused)
		s.Blocked += float64(n.Blocked - p.nodes[i].Blocked)
		s.Emits, s.Writes = worse(s.Emits, n.Emits), worse(s.Writes, n.Writes)
		s.Claims, s.Claimed = worse(s.Claims, n.Claims), worse(s.Claimed, n.Claimed)
		s.Resident, s.Heap = append(s.Resident, n.Resident), append(s.Heap, n.Heap)
		s.Goroutines, s.Sockets = append(s.Goroutines, float64(n.Goroutines)), append(s.Sockets, float64(n.Sockets))
		if n.Problem != "" {
			s.Problem = n.Problem
		}
	}
	server := r.server.CPU - p.server.CPU
	s.Attempts = float64(attempts) / passed.Seconds()
	if attempts > 0 {
		s.WALEach = float64(r.server.WAL-p.server.WAL) / float64(attempts)
		s.Dispatcher = float64(cpu.Microseconds()) / float64(attempts)
		s.Server = float64(server.Microseconds()) / float64(attempts)
	}
	if r.known && p.known {
		ours := cpu + server + r.arrivals.CPU - p.arrivals.CPU + r.own - p.own
		s.Others = 100 * usage.Share(max(0, r.machine-p.machine-ours), passed)
	}
	return s
}

// worse returns the one with the larger median.
func worse(a, b Spread) Spread {
	if a.P50 >= b.P50 {
		return a
	}
	return b
}

// String returns the sample in a line.
func (s Sample) String() string {
	text := fmt.Sprintf("%.1f min: %.0f attempts/s, received after %.0f ms (p50) and %.0f ms (p99), %.0f pending, others had %.0f %% of the processors",
		s.Minute, s.Attempts, s.Latency.P50, s.Latency.P99, s.Database.Pending, s.Others)
	if s.Problem != "" {
		text += ", last error: " + s.Problem
	}
	return text
}

// column is one of the table by minute.
type column struct {
	report.Column
	of func(Sample) *report.Figure
}

func number(name string, decimals int, of func(Sample) float64) column {
	return column{report.Column{Name: name, Decimals: decimals}, func(s Sample) *report.Figure { return report.Of(of(s)) }}
}

// known is a number that is not always known, and then may be 0.
func known(name string, of func(figures) float64) column {
	return column{report.Column{Name: name}, func(s Sample) *report.Figure {
		if !s.Database.Known {
			return nil
		}
		return &report.Figure{Median: of(s.Database)}
	}}
}

var columns = []column{
	number("attempts/s", 0, func(s Sample) float64 { return s.Attempts }),
	number("received p50 ms", 1, func(s Sample) float64 { return s.Latency.P50 }),
	number("received p99 ms", 0, func(s Sample) float64 { return s.Latency.P99 }),
	number("longest gap s", 2, func(s Sample) float64 { return s.Gap }),
	number("emit p50 ms", 1, func(s Sample) float64 { return s.Emits.P50 }),
	number("emit p99 ms", 0, func(s Sample) float64 { return s.Emits.P99 }),
	number("emits refused", 0, func(s Sample) float64 { return s.Refused }),
	number("host p50 ms", 1, func(s Sample) float64 { return s.Writes.P50 }),
	number("host p99 ms", 0, func(s Sample) float64 { return s.Writes.P99 }),
	number("host refused", 0, func(s Sample) float64 { return s.Blocked }),
	number("claim p50 ms", 1, func(s Sample) float64 { return s.Claims.P50 }),
	number("claim at most ms", 0, func(s Sample) float64 { return s.Claims.Most }),
	number("claimed p50", 0, func(s Sample) float64 { return s.Claimed.P50 }),
	known("pending", func(f figures) float64 { return f.Pending }),
	known("due", func(f figures) float64 { return f.Due }),
	known("hanging", func(f figures) float64 { return f.Hanging }),
	number("live rows", 0, func(s Sample) float64 { return s.Database.Live }),
	number("dead rows", 0, func(s Sample) float64 { return s.Database.Dead }),
	number("queue KiB", 0, func(s Sample) float64 { return s.Database.Table }),
	number("file KiB", 0, func(s Sample) float64 { return s.Database.File }),
	number("WAL file KiB", 0, func(s Sample) float64 { return s.Database.WAL }),
	number("WAL KiB/s", 0, func(s Sample) float64 { return s.WALRate }),
	number("bytes/attempt", 0, func(s Sample) float64 { return s.WALEach }),
	number("longest transaction s", 2, func(s Sample) float64 { return s.Database.Longest }),
	number("dispatcher µs", 0, func(s Sample) float64 { return s.Dispatcher }),
	number("server µs", 0, func(s Sample) float64 { return s.Server }),
	number("others %", 0, func(s Sample) float64 { return s.Others }),
}

// allColumns returns the columns with those of each process, A and B, and of each index.
func (r *Result) allColumns() []column {
	all := slices.Clone(columns)
	if len(r.Samples) == 0 {
		return all
	}
	for i := range r.Samples[0].Resident {
		process := string(rune('A' + i))
		all = append(all,
			number(process+": RSS MiB", 0, func(s Sample) float64 { return s.Resident[i] }),
			number(process+": heap MiB", 1, func(s Sample) float64 { return s.Heap[i] }),
			number(process+": goroutines", 0, func(s Sample) float64 { return s.Goroutines[i] }),
			number(process+": sockets", 0, func(s Sample) float64 { return s.Sockets[i] }))
	}
	for _, name := range r.indexes() {
		all = append(all, number(name+" KiB", 0, func(s Sample) float64 { return s.Database.Indexes[name] }))
	}
	return all
}

// indexes returns the names of the queue's indexes.
func (r *Result) indexes() []string {
	names := map[string]bool{}
	for _, s := range r.Samples {
		for name := range s.Database.Indexes {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Table returns the table by minute, without columns that have no figure.
func (r *Result) Table() report.Table {
	t := report.Table{Title: r.Config.Store + ", minute", Detail: true}
	for _, s := range r.Samples {
		t.Rows = append(t.Rows, report.Row{Name: fmt.Sprintf("%.1f", s.Minute)})
	}
	for _, c := range r.allColumns() {
		figures := make([]*report.Figure, len(r.Samples))
		for i, s := range r.Samples {
			figures[i] = c.of(s)
		}
		if !slices.ContainsFunc(figures, func(f *report.Figure) bool { return f != nil }) {
			continue
		}
		t.Columns = append(t.Columns, c.Column)
		for i, f := range figures {
			t.Rows[i].Figures = append(t.Rows[i].Figures, f)
		}
	}
	return t
}

// DisturbanceTable returns what the disturbances did.
func (r *Result) DisturbanceTable() report.Table {
	t := report.Table{Title: r.Config.Store, Columns: []report.Column{
		{Name: "minute", Decimals: 1}, {Name: "lasted s", Decimals: 1}, {Name: "longest time without a delivery, s", Decimals: 2},
	}}
	for _, d := range r.Disturbances {
		t.Rows = append(t.Rows, report.Row{Name: d.Mark + ": " + d.Name, Figures: []*report.Figure{report.Of(d.At), report.Of(d.Lasted), report.Of(d.Gap)}})
	}
	return t
}

// Notes returns what the numbers add up to.
func (r *Result) Notes() []string {
	var refused, blocked, quiet float64
	for _, s := range r.Samples {
		refused += s.Refused
		blocked += s.Blocked
		if s.Others <= 10 {
			quiet++
		}
	}
	notes := []string{fmt.Sprintf("%s: of %d deliveries to healthy receivers %d did not arrive and %d arrived twice, while %d attempts at them failed, such as by a timeout; %.0f emits and %.0f writes of "+
		"the host were refused. The rest was delivered %.1f s after the last emit.",
		r.Config.Store, r.Expected, r.Missing, r.Twice, r.Failed, refused, blocked, r.Drained.Seconds())}
	if r.LeftOver > 0 {
		notes = append(notes, fmt.Sprintf("**%d deliveries were still pending** after %v.", r.LeftOver, patience))
	}
	if n := len(r.Samples); n > 0 && int(quiet) < n {
		notes = append(notes, fmt.Sprintf("In %d of %d samples other processes had more than 10 %% of the processors.", n-int(quiet), n))
	}
	return notes
}

// Plots returns one figure for what the host and its customers notice, and one for what the
// database keeps.
func (r *Result) Plots(name string) []plot.Figure {
	title := map[string]string{"postgres": "PostgreSQL", "sqlite": "SQLite"}[r.Config.Store]
	return []plot.Figure{
		{Name: name + "-sending", Title: title + ": sending", Panels: []plot.Panel{
			r.panel("Attempts", "a second", line("attempts", func(s Sample) float64 { return s.Attempts })),
			r.panel("From emit to healthy receivers", "ms", line("p50", func(s Sample) float64 { return s.Latency.P50 }),
				line("p99", func(s Sample) float64 { return s.Latency.P99 })),
			r.panel("Processor", "µs for an attempt, emits included", line("dispatcher", func(s Sample) float64 { return s.Dispatcher }),
				line("server", func(s Sample) float64 { return s.Server })),
		}},
		{Name: name + "-database", Title: title + ": what is kept", Panels: []plot.Panel{
			r.panel("Rows of the queue", "rows", kept("pending", func(f figures) float64 { return f.Pending }),
				kept("dead", func(f figures) float64 { return f.Dead })),
			r.panel("Sizes", "KiB", r.sizes()...),
			r.panel("Memory of a process", "MiB", line("resident", func(s Sample) float64 { return slices.Max(s.Resident) }),
				line("heap", func(s Sample) float64 { return slices.Max(s.Heap) })),
		}},
	}
}

func (r *Result) sizes() []series {
	all := []series{
		kept("the queue", func(f figures) float64 { return f.Table }),
		kept("the file", func(f figures) float64 { return f.File }),
		kept("its log", func(f figures) float64 { return f.WAL }),
	}
	for _, name := range r.indexes() {
		all = append(all, kept(name, func(f figures) float64 { return f.Indexes[name] }))
	}
	return all
}

// series is a line over time.
type series struct {
	name string
	of   func(Sample) float64
}

func line(name string, of func(Sample) float64) series { return series{name, of} }

// kept is a line of what is not always known.
func kept(name string, of func(figures) float64) series {
	return series{name, func(s Sample) float64 {
		if !s.Database.Known {
			return math.NaN()
		}
		return of(s.Database)
	}}
}

func (r *Result) panel(title, y string, all ...series) plot.Panel {
	p := plot.Panel{Title: title, X: "minutes", Y: y}
	for _, s := range all {
		l := plot.Line{Name: s.name}
		some := false
		for _, sample := range r.Samples {
			v := s.of(sample)
			if math.IsNaN(v) {
				continue
			}
			some = some || v != 0
			l.Points = append(l.Points, plot.Point{X: sample.Minute, Y: v})
		}
		if some {
			p.Lines = append(p.Lines, l)
		}
	}
	for _, d := range r.Disturbances {
		p.Marks = append(p.Marks, plot.Mark{X: d.At, Text: d.Mark})
	}
	return p
}
