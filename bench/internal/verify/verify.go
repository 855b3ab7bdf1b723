// Package verify measures the verification of a webhook beside the form that one would write by
// hand and beside the libraries of others.
package verify

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/alot/alotwebhook/bench/internal/report"
)

// Size is the size of a body.
type Size struct {
	Name  string
	Bytes int
}

// Sizes are the sizes that are measured.
func Sizes() []Size { return []Size{{"300 B", 300}, {"4 KiB", 4 << 10}, {"256 KiB", 256 << 10}} }

// Measure returns a table for verifying alone, and one for the way from the request to the
// event. While it runs, the process has one processor: on a second one, garbage collection
// would cost no subject anything.
func Measure(sizes []Size, rounds int, turn time.Duration) ([]report.Table, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	columns := make([][]figure, len(sizes))
	var subjects []subject
	for i, size := range sizes {
		var err error
		if subjects, err = newSubjects(size.Bytes); err != nil {
			return nil, err
		}
		if columns[i], err = measure(subjects, rounds, turn); err != nil {
			return nil, fmt.Errorf("%s: %w", size.Name, err)
		}
	}
	return []report.Table{
		table("Verifying a body", verifying, sizes, subjects, columns),
		table("From the request to the event", receiving, sizes, subjects, columns),
	}, nil
}

// table has the subjects of one part after the bare form.
func table(title string, p part, sizes []Size, subjects []subject, columns [][]figure) report.Table {
	t := report.Table{Title: title}
	for _, size := range sizes {
		t.Columns = append(t.Columns, report.Column{Name: size.Name, Decimals: 2}, report.Column{Name: "allocations"})
	}
	for i, s := range subjects {
		if s.part != p && i > 0 {
			continue
		}
		row := report.Row{Name: s.name}
		for _, figures := range columns {
			f := figures[i]
			row.Figures = append(row.Figures, &report.Figure{Median: f.ratio}, &report.Figure{Median: float64(f.allocations)})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// version returns a name with the version of a module that is linked in.
func version(name, module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return name
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return name + " " + dep.Version
		}
	}
	return name
}
