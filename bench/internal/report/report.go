// Package report keeps what the benchmarks measured: as tables for people, as JSON, as plots,
// and as the parts of a page that are made from it.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alot/alotwebhook/bench/internal/plot"
)

// Report is all that was measured, maybe in several runs.
type Report struct {
	Sections []Section `json:"sections"`
}

// Section is the result of one subject.
type Section struct {
	// Name is the word that chooses it on the command line, and marks its part of a page.
	Name  string `json:"name"`
	Title string `json:"title"`
	// About says what was done, under which load, in Markdown.
	About string `json:"about"`
	// Run says when and on what it was measured, and by which command.
	Run    Run           `json:"run"`
	Tables []Table       `json:"tables"`
	Plots  []plot.Figure `json:"plots"`
	// Notes are what a reader must know to judge the figures, such as disturbed rounds.
	Notes []string `json:"notes"`
}

// Run says where figures come from.
type Run struct {
	Date       string `json:"date"` // 2026-11-28
	Command    string `json:"command"`
	Go         string `json:"go"`
	System     string `json:"system"`
	Processors int    `json:"processors"`
	PostgreSQL string `json:"postgresql,omitempty"`
}

// Table has a row for each contender.
type Table struct {
	Title   string   `json:"title"`
	Columns []Column `json:"columns"`
	Rows    []Row    `json:"rows"`
	// Detail leaves the table out of pages.
	Detail bool `json:"detail,omitempty"`
}

// Column is one figure of each row.
type Column struct {
	Name     string `json:"name"`
	Decimals int    `json:"decimals"`
	// Range shows the least and the most of all rounds, too.
	Range bool `json:"range,omitempty"`
}

// Row has a figure for each column; nil where there is none.
type Row struct {
	Name    string    `json:"name"`
	Figures []*Figure `json:"figures"`
}

// Figure is the median of some rounds.
type Figure struct {
	Median float64   `json:"median"`
	Rounds []float64 `json:"rounds,omitempty"`
}

// Of returns the figure of rounds. It is nil if all of them are 0, which stands for unknown.
func Of(rounds ...float64) *Figure {
	if !slices.ContainsFunc(rounds, func(v float64) bool { return v != 0 }) {
		return nil
	}
	sorted := slices.Sorted(slices.Values(rounds))
	return &Figure{Median: sorted[(len(sorted)-1)/2], Rounds: rounds}
}

func (c Column) text(f *Figure) string {
	switch {
	case f == nil:
		return "–"
	case c.Range && len(f.Rounds) > 1:
		return fmt.Sprintf("%.*f (%.*f–%.*f)", c.Decimals, f.Median, c.Decimals, slices.Min(f.Rounds), c.Decimals, slices.Max(f.Rounds))
	}
	return fmt.Sprintf("%.*f", c.Decimals, f.Median)
}

// cells returns the table as text, the first line being the names of the columns.
func (t Table) cells() [][]string {
	head := []string{t.Title}
	for _, c := range t.Columns {
		head = append(head, c.Name)
	}
	lines := [][]string{head}
	for _, r := range t.Rows {
		line := []string{r.Name}
		for i, f := range r.Figures {
			line = append(line, t.Columns[i].text(f))
		}
		lines = append(lines, line)
	}
	return lines
}

// Print writes the table for a terminal.
func (t Table) Print(w io.Writer) error {
	lines := t.cells()
	width := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&b, "%-*s", width[0], line[0])
		for i, cell := range line[1:] {
			fmt.Fprintf(&b, "  %*s", width[i+1], cell)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdown returns the table for a page.
func (t Table) markdown() string {
	var b strings.Builder
	for i, line := range t.cells() {
		b.WriteString("| " + strings.Join(line, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|---" + strings.Repeat("|---:", len(t.Columns)) + "|\n")
		}
	}
	return b.String()
}

// Print writes the section for a terminal.
func (s Section) Print(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "\n%s\n%s\n", s.Title, s.About); err != nil {
		return err
	}
	for _, t := range s.Tables {
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		if err := t.Print(w); err != nil {
			return err
		}
	}
	for _, note := range s.Notes {
		if _, err := fmt.Fprintln(w, note); err != nil {
			return err
		}
	}
	return nil
}

// Put adds a section, or replaces the one of its name.
func (r *Report) Put(s Section) {
	if i := slices.IndexFunc(r.Sections, func(old Section) bool { return old.Name == s.Name }); i >= 0 {
		r.Sections[i] = s
		return
	}
	r.Sections = append(r.Sections, s)
}

// Load returns the report in a file; one without sections if there is no such file.
func Load(path string) (Report, error) {
	var r Report
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s is no report: %w", path, err)
	}
	return r, nil
}

// Write writes the report as JSON.
func (r Report) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}
