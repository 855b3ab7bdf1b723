package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook/cmd/alotwebhook/internal/moving"
)

// These are the exit codes that the help documents.
const (
	exitOK     = 0
	exitFailed = 1 // refused, not verified, no 2xx response, or a fault was found
	exitUsage  = 2 // the command line is wrong, or there is no secret
)

// app is the program with its streams and its environment, which tests replace.
type app struct {
	in         io.Reader
	out, err   io.Writer
	env        func(string) string
	isTerminal func(any) bool

	started bool // set once the command line is understood
}

// errSaid ends a command with exitFailed after it has printed the reason itself.
var errSaid = errors.New("said")

// usageError is a mistake in the command line that only the command itself finds.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(doubleDashes(root, args))
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	refuseUnknownNames(root)
	cmd, err := root.ExecuteContextC(ctx)
	wrong := usageError{}
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSaid):
		return exitFailed
	case !a.started || errors.As(err, &wrong):
		fmt.Fprintf(a.err, "alotwebhook: %s\nTry: %s --help\n", plain(err), cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(a.err, "alotwebhook: %s\n", plain(err))
	return exitFailed
}

// plain returns an error's text without the library's prefix: the name of the
// program already stands before it.
func plain(err error) string { return printable(strings.TrimPrefix(err.Error(), "alotwebhook: ")) }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "alotwebhook",
		Short: "Test webhooks without a tunnel, and move endpoints",
		Long: `Test webhooks on your own machine: no tunnel, no account, and no network but
the URL that you name. And move endpoints in from another sender.

The signing secret comes from --secret-file, from the environment variable
ALOT_WEBHOOK_SECRET, or from --secret, which other users of the machine can read
in the list of processes.

Exit codes: 0 all is well; 1 refused, not verified, no 2xx response, or a
fault was found; 2 the command line is wrong or there is no secret.

Output is coloured only on a terminal, and never when NO_COLOR is set.`,
		Example: `  export ALOT_WEBHOOK_SECRET=your-signing-secret
  alotwebhook send http://localhost:3000/alot/webhook
  alotwebhook check http://localhost:3000/alot/webhook
  alotwebhook listen --forward http://localhost:3000/alot/webhook
  alotwebhook completion bash > /etc/bash_completion.d/alotwebhook`,
		Version:       version(debug.ReadBuildInfo()),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(a.signCommand(), a.verifyCommand(), a.sendCommand(), a.listenCommand(), a.replayCommand(), a.checkCommand(),
		a.pullCommand(), a.endpointsCommand(), a.idCommand())
	return root
}

// refuseUnknownNames makes cobra's own commands, help and completion, fail for a
// name that they do not know: by default they print their help and exit with 0.
// Set the output before the call, because it makes these commands.
func refuseUnknownNames(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error {
				_, _, err := root.Find(args)
				return err
			}
		case "completion":
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() } // its arguments are checked before
		}
	}
}

// does wraps the function of a command. It records that the command line was
// understood, so an error from then on is not one of usage. It refuses empty flags.
func (a *app) does(run func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		if err := refuseEmpty(cmd); err != nil {
			return err
		}
		return run(cmd, args)
	}
}

// notEmpty are flags that mean nothing if they are empty. That comes of a variable of the shell that is not set, and
// the command would do as if the flag were not there: send an example, or print secrets instead of keeping them.
var notEmpty = []string{
	"addr", "api", "body", "cursor-file", "data", "forward", "from", "id", "map", "new-secrets", "only", "organization", "out",
	"prefix", "project", "since", "to", "token-file", "type",
}

func refuseEmpty(cmd *cobra.Command) error {
	for _, name := range notEmpty {
		f := cmd.Flags().Lookup(name)
		if f == nil || !f.Changed {
			continue
		}
		if value := f.Value.String(); value == "" || value == "[]" {
			return usagef("--%s is empty; give it a value, or leave it out", name)
		}
	}
	return nil
}

// doubleDashes lets "-forward" stand for "--forward", as in programs that use
// package flag.
func doubleDashes(root *cobra.Command, args []string) []string {
	long := func(name string) bool { return name == "help" || name == "version" || hasFlag(root, name) }
	fixed := make([]string, len(args))
	for i, arg := range args {
		if arg == "--" { // no flag follows
			return append(fixed[:i], args[i:]...)
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if strings.HasPrefix(arg, "-") && len(name) > 1 && long(name) {
			arg = "-" + arg
		}
		fixed[i] = arg
	}
	return fixed
}

// hasFlag reports whether a command or one below it has a flag of this name.
func hasFlag(cmd *cobra.Command, name string) bool {
	return cmd.Flags().Lookup(name) != nil || slices.ContainsFunc(cmd.Commands(), func(c *cobra.Command) bool { return hasFlag(c, name) })
}

// body reads the file that the argument names, or standard input if there is no
// argument or it is "-".
func (a *app) body(ctx context.Context, args []string) ([]byte, error) {
	if len(args) > 0 && args[0] != "-" {
		return readFile(ctx, args[0], "the body")
	}
	if a.isTerminal(a.in) {
		fmt.Fprintln(a.err, "Reading the body from the terminal. Press Ctrl-D at the start of a line to end it.")
	}
	b, err := interruptible(ctx, func() ([]byte, error) { return io.ReadAll(a.in) })
	if err != nil && !errors.Is(err, moving.ErrInterrupted) {
		return nil, fmt.Errorf("cannot read the body: %w", err)
	}
	return b, err
}

// readFile reads a file of the command line. what says in an error what it is for.
func readFile(ctx context.Context, name, what string) ([]byte, error) {
	b, err := interruptible(ctx, func() ([]byte, error) { return os.ReadFile(name) })
	if err != nil && !errors.Is(err, moving.ErrInterrupted) {
		return nil, usagef("cannot read %s: %w", what, err)
	}
	return b, err
}

// interruptible reads until the context ends. Nothing else ends a read of a terminal or of a pipe that nobody writes to.
func interruptible(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	done := make(chan struct{})
	var got []byte
	var failed error
	go func() {
		defer close(done)
		got, failed = read()
	}()
	select {
	case <-done:
		return got, failed
	case <-ctx.Done():
		return nil, moving.ErrInterrupted
	}
}
