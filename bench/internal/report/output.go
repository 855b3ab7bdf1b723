package report

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Output says where the results of a program go.
type Output struct {
	JSON  string // a file, - for standard output, or "" for none
	Plots string // a folder, or ""
	Page  string // a file in Markdown, or ""
}

// Flags defines the flags of an output.
func (o *Output) Flags(fs *flag.FlagSet) {
	fs.StringVar(&o.JSON, "json", "", "write the results to this `file` as JSON, and keep what it has of other sections; - prints them, and no table")
	fs.StringVar(&o.Plots, "plots", "", "write the plots of all sections in the results as SVG to this `folder`")
	fs.StringVar(&o.Page, "page", "", "put all sections in the results into this `file`, which exists, in Markdown, between the marks that bear their names")
}

// Tables returns where tables are printed: nowhere if the JSON is.
func (o *Output) Tables(stdout io.Writer) io.Writer {
	if o.JSON == "-" {
		return io.Discard
	}
	return stdout
}

// Load returns the results of earlier runs, to which those of this run are added. It also writes
// them again: so a place that cannot be written to is found before hours have passed.
func (o *Output) Load() (r Report, err error) {
	if o.JSON != "" && o.JSON != "-" {
		if r, err = Load(o.JSON); err != nil {
			return r, err
		}
	}
	return r, o.Write(r, io.Discard)
}

// Write writes all that the flags ask for.
func (o *Output) Write(r Report, stdout io.Writer) error {
	return errors.Join(
		named("-json", o.writeJSON(r, stdout)),
		named("-plots", o.writePlots(r)),
		named("-page", o.writePage(r)),
	)
}

// named puts the name of a flag in front of an error.
func named(flag string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", flag, err)
}

func (o *Output) writeJSON(r Report, stdout io.Writer) error {
	switch o.JSON {
	case "":
		return nil
	case "-":
		return r.Write(stdout)
	}
	if err := os.MkdirAll(filepath.Dir(o.JSON), 0o755); err != nil {
		return err
	}
	f, err := os.Create(o.JSON)
	if err != nil {
		return err
	}
	return errors.Join(r.Write(f), f.Close())
}

func (o *Output) writePlots(r Report) error {
	if o.Plots == "" {
		return nil
	}
	if err := os.MkdirAll(o.Plots, 0o755); err != nil {
		return err
	}
	for _, s := range r.Sections {
		for _, p := range s.Plots {
			if err := os.WriteFile(filepath.Join(o.Plots, p.Name+".svg"), p.SVG(), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *Output) writePage(r Report) error {
	if o.Page == "" {
		return nil
	}
	text, err := os.ReadFile(o.Page)
	if err != nil {
		return err
	}
	plots := o.Plots
	if plots == "" {
		return errors.New("it needs -plots, the folder that the page shows plots from")
	}
	if plots, err = filepath.Rel(filepath.Dir(o.Page), plots); err != nil {
		return err
	}
	page, err := r.page(string(text), filepath.ToSlash(plots))
	if err != nil {
		return fmt.Errorf("%s: %w", o.Page, err)
	}
	return os.WriteFile(o.Page, []byte(page), 0o644)
}

// page returns the text with the sections between their marks. A section that has no marks is
// left out.
func (r Report) page(text, plots string) (string, error) {
	for _, s := range r.Sections {
		begin, end := fmt.Sprintf("<!-- bench %s -->\n", s.Name), "<!-- end -->"
		before, rest, ok := strings.Cut(text, begin)
		if !ok {
			continue
		}
		_, after, ok := strings.Cut(rest, end)
		if !ok {
			return "", fmt.Errorf("the mark %q has no %q after it", strings.TrimSpace(begin), end)
		}
		text = before + begin + s.markdown(plots) + end + after
	}
	return text, nil
}

// markdown returns the section's part of a page.
func (s Section) markdown(plots string) string {
	parts := []string{"## " + s.Title, s.About}
	for _, p := range s.Plots {
		parts = append(parts, fmt.Sprintf("![%s](%s/%s.svg)", p.Title, plots, p.Name))
	}
	for _, t := range s.Tables {
		if !t.Detail {
			parts = append(parts, strings.TrimSpace(t.markdown()))
		}
	}
	parts = append(parts, s.Notes...)
	parts = append(parts, fmt.Sprintf("Measured on %s by `%s`, with %s on %s, %d processors%s.", s.Run.Date, s.Run.Command,
		s.Run.Go, s.Run.System, s.Run.Processors, s.Run.database()))
	return strings.Join(parts, "\n\n") + "\n"
}

func (r Run) database() string {
	if r.PostgreSQL == "" {
		return ""
	}
	return ", PostgreSQL " + r.PostgreSQL
}

// NewRun describes a run of a program, such as "go run ./bench", with its arguments. Those that
// only say where results go are left out.
func NewRun(program string, args []string) Run {
	command := program
	for i := 0; i < len(args); i++ {
		name, _, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		switch name {
		case "json", "plots", "page":
			if !hasValue {
				i++
			}
			continue
		}
		command += " " + args[i]
	}
	return Run{
		Date: time.Now().UTC().Format(time.DateOnly), Command: command, Go: runtime.Version(),
		System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.NumCPU(),
	}
}
