// Verify measures the verification of a webhook, in one run, beside the form that one would
// write by hand and beside the libraries of others:
//
//	go run ./bench/verify
//
// It first checks that each subject accepts the good body and refuses a changed one. Then
// all subjects take turns, round by round, on one processor. In each round, the time of a
// subject is divided by the time of the bare form. A figure is the median of these ratios,
// so that a disturbance affects all subjects alike. The output is two tables in Markdown.
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

// size is the size of a body.
type size struct {
	name  string
	bytes int
}

func main() {
	rounds := flag.Int("rounds", 15, "the `number` of rounds")
	turn := flag.Duration("turn", 40*time.Millisecond, "the `duration` of a turn")
	flag.Parse()
	sizes := []size{{"300 B", 300}, {"4 KiB", 4 << 10}, {"256 KiB", 256 << 10}}
	if err := run(os.Stdout, sizes, *rounds, *turn); err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, sizes []size, rounds int, turn time.Duration) error {
	runtime.GOMAXPROCS(1) // on a second processor, garbage collection would cost no subject anything
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

// printTable prints the subjects of one part after the bare form.
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
	_ = tw.Flush() // like the other prints, without a check of its error
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
