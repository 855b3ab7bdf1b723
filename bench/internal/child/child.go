// Package child lets a program run parts of itself in processes of their own: a receiver whose
// work counts for nobody, or several dispatchers that share a store. The child is the same
// program in another role. It ends when its parent does, even by a crash.
package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
)

// variable is the environment variable that says which role a child has.
const variable = "ALOTWEBHOOK_BENCH_ROLE"

// Role begins the work of a child, for the task that its parent gave to [Start]. It returns the
// function that answers the parent's calls, one after the other.
type Role func(ctx context.Context, task json.RawMessage) (Handler, error)

// Handler answers one call. The result goes to the parent as JSON.
type Handler func(ctx context.Context, method string, argument json.RawMessage) (any, error)

// Roles are all roles of a program, by name.
type Roles map[string]Role

type request struct {
	Method   string          `json:"method"`
	Argument json.RawMessage `json:"argument"`
}

type response struct {
	Error  string          `json:"error"`
	Result json.RawMessage `json:"result"`
}

// Main is the first call in main, and in TestMain of the tests. In a child it does the work of
// its role and does not return; in any other process it does nothing.
func Main(roles Roles) {
	name := os.Getenv(variable)
	if name == "" {
		return
	}
	role, ok := roles[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "child: there is no role %q in this program\n", name)
		os.Exit(1)
	}
	if err := serve(role, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "child: %s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve answers the requests until their end. The first one carries the task.
func serve(role Role, stdin io.Reader, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	requests := make(chan request)
	go func() {
		defer close(requests)
		defer cancel() // the end of stdin is the end of the parent: no call may go on
		decoder := json.NewDecoder(stdin)
		for {
			var r request
			if decoder.Decode(&r) != nil {
				return
			}
			requests <- r
		}
	}()
	first, ok := <-requests
	if !ok {
		return errors.New("the parent gave no task")
	}
	handle, err := role(ctx, first.Argument)
	if err := answer(stdout, nil, err); err != nil {
		return err
	}
	if err != nil {
		return nil // the parent knows
	}
	for r := range requests {
		result, err := handle(ctx, r.Method, r.Argument)
		if err := answer(stdout, result, err); err != nil {
			return err
		}
	}
	return nil
}

func answer(w io.Writer, result any, err error) error {
	var r response
	if err != nil {
		r.Error = err.Error()
	}
	text, err := json.Marshal(result)
	if err != nil {
		return err
	}
	r.Result = text
	return json.NewEncoder(w).Encode(r)
}

// Process is a child, seen by its parent.
type Process struct {
	mu     sync.Mutex // of calls
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *json.Decoder
}

// Start starts this program again in a role, and returns once the role has begun its task. The
// child is killed when ctx ends.
func Start(ctx context.Context, role string, task any) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Process{name: role, cmd: exec.CommandContext(ctx, self)}
	p.cmd.Env = append(os.Environ(), variable+"="+role)
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdout = json.NewDecoder(bufio.NewReader(stdout))
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := p.Call(ctx, "", task, nil); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// Call asks the child and decodes its result, unless result is nil. Calls of several goroutines
// go one after the other. If ctx ends before the child has answered, the child is killed.
func (p *Process) Call(ctx context.Context, method string, argument, result any) error {
	text, err := json.Marshal(argument)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	defer context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })()
	var r response
	err = json.NewEncoder(p.stdin).Encode(request{method, text})
	if err == nil {
		err = p.stdout.Decode(&r)
	}
	if err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("the %s process has ended: %w", p.name, err))
	}
	if r.Error != "" {
		return fmt.Errorf("the %s process: %s", p.name, r.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(r.Result, result)
}

// Stop ends the child and waits for it.
func (p *Process) Stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Wait() // its exit code does not matter
}
