// Verify measures verification beside the hand-written form and beside others'
// libraries, in one run:
//
//	go run ./bench/verify
//
// Each is checked first to accept the good body and to refuse a changed one. Then
// all take turns, round by round, on one processor; a figure is the median over
// the rounds of the time in relation to the bare form's in the same round, so
// that a noisy moment meets all alike. It prints two tables in Markdown.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"
)

// size is how large a body is measured.
type size struct {
	name  string
	bytes int
}

func main() {
	rounds := flag.Int("rounds", 15, "`times` that each takes its turn")
	turn := flag.Duration("turn", 40*time.Millisecond, "how `long` a turn is")
	flag.Parse()
	sizes := []size{{"300 B", 300}, {"4 KiB", 4 << 10}, {"256 KiB", 256 << 10}}
	if err := run(os.Stdout, sizes, *rounds, *turn); err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, sizes []size, rounds int, turn time.Duration) error {
	runtime.GOMAXPROCS(1) // or garbage is collected at the expense of nobody
	fmt.Fprintf(w, "%s %s/%s, %d rounds of %v each\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, rounds, turn)
	columns := make([][]figure, len(sizes))
	var subjects []subject
	for i, size := range sizes {
		var err error
		if subjects, err = newSubjects(size.bytes); err != nil {
			return err
		}
		if columns[i], err = measure(subjects, rounds, turn); err != nil {
			return fmt.Errorf("%s: %w", size.name, err)
		}
	}
	for _, table := range []struct {
		title string
		part  part
	}{
		{"Verifying a body", verifying},
		{"From the request to the event", receiving},
	} {
		printTable(w, table.title, table.part, sizes, subjects, columns)
	}
	return nil
}

// printTable prints the subjects of one part, the bare form first.
func printTable(w io.Writer, title string, p part, sizes []size, subjects []subject, columns [][]figure) {
	tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintf(tw, "\n| %s", title)
	for _, size := range sizes {
		fmt.Fprintf(tw, "\t| %s\t| allocations", size.name)
	}
	fmt.Fprint(tw, "\t|\n|---", strings.Repeat("\t|---:\t|---:", len(sizes)), "\t|\n")
	for i, s := range subjects {
		if s.part != p && i > 0 {
			continue
		}
		fmt.Fprintf(tw, "| %s", s.name)
		for _, figures := range columns {
			f := figures[i]
			if i == 0 {
				fmt.Fprintf(tw, "\t| 1 (%v)\t| %d", f.time, f.allocations)
			} else {
				fmt.Fprintf(tw, "\t| %.2f\t| %d", f.ratio, f.allocations)
			}
		}
		fmt.Fprint(tw, "\t|\n")
	}
	_ = tw.Flush() // as the rest of what is printed
}

// version names a module with the version that is linked in.
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
