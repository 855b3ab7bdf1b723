// Package command holds the parts that all programs that measure share: how they read their flags,
// end by a signal, and tell of errors.
package command

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alot/alotwebhook/bench/internal/child"
)

// Program is a program that measures.
type Program struct {
	Name    string         // what its errors begin with
	Does    string         // what it does, for -help: begins with a verb
	Roles   child.Roles    // those of the processes that it starts
	Options func() Options // returns its flags for a new run
}

// Options are the flags of a program, and do what they ask for.
type Options interface {
	// Flags defines the flags with their defaults.
	Flags(fs *flag.FlagSet)
	// Check returns an error if a flag has a wrong value. All of fs are parsed by then.
	Check(fs *flag.FlagSet) error
	// Measure does the work. Results go to out, progress to progress. args are the arguments that
	// were parsed.
	Measure(ctx context.Context, args []string, out, progress io.Writer) error
}

// Main runs the program with the arguments of the process until it is done, interrupted or
// asked to terminate, and exits with the code of [Program.Run]. It is all of main.
func (p Program) Main() {
	child.Main(p.Roles)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(p.Run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Run runs the program and returns its exit code: 0 after a success, also of -help; 1 if the
// work failed; 2 if an argument is wrong. Then the error is in stderr.
func (p Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := p.Options()
	switch err := p.parse(o, args, stderr); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return 2
	}
	if err := o.Measure(ctx, args, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return 1
	}
	return 0
}

func (p Program) parse(o Options, args []string, stderr io.Writer) error {
	fs := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o.Flags(fs)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(stderr)
		fmt.Fprintf(stderr, "%s %s.\n\n", p.Name, p.Does)
		fs.PrintDefaults()
		return err
	case err != nil:
		return explain(fs, err)
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: every option begins with -", fs.Arg(0))
	}
	return o.Check(fs)
}

// explain adds to an error of the flags what to give.
func explain(fs *flag.FlagSet, err error) error {
	_, rest, _ := strings.Cut(err.Error(), " for flag -")
	name, _, _ := strings.Cut(rest, ":")
	if f := fs.Lookup(name); f != nil {
		return fmt.Errorf("%w; give one such as %s", err, f.DefValue)
	}
	return fmt.Errorf("%w; -help lists the flags", err)
}

// AtLeast returns an error if the value of a flag is less than that.
func AtLeast[T cmp.Ordered](flag string, value, least T) error {
	if value >= least {
		return nil
	}
	return fmt.Errorf("-%s is %v; give %v or more", flag, value, least)
}

// Within returns an error if the value of a flag is not within these bounds.
func Within[T cmp.Ordered](flag string, value, least, most T) error {
	if value >= least && value <= most {
		return nil
	}
	return fmt.Errorf("-%s is %v; give from %v to %v", flag, value, least, most)
}

// Choose splits a flag's value at its commas. It returns an error if a part is none of the names.
func Choose(flag, value string, names []string) ([]string, error) {
	chosen := strings.Split(value, ",")
	for _, c := range chosen {
		if !slices.Contains(names, c) {
			return nil, fmt.Errorf("-%s: unknown %s %q; there are %s", flag, flag, c, strings.Join(names, ", "))
		}
	}
	return chosen, nil
}
