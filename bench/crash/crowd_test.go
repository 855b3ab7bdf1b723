package crash

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// crowd is the child processes of a test, which share one store.
type crowd struct {
	t   *testing.T
	job job // without the fields that differ

	mu       sync.Mutex
	children []*process // in the order of their starts, with those that have ended
	acked    []string   // ids of events whose Emit has returned
	broken   bool       // a child has ended by itself
	changed  *sync.Cond
}

// process is one child process.
type process struct {
	*exec.Cmd
	crowd      *crowd
	role, name string
	ending     bool // the test has sent the signal that ends it
	log        []string
	gone       chan struct{} // closed when the process has ended
	err        error         // the result of Wait, once gone is closed
}

func newCrowd(t *testing.T, j job) *crowd {
	c := &crowd{t: t, job: j}
	c.changed = sync.NewCond(&c.mu)
	t.Cleanup(c.killAll)
	return c
}

// start starts a further child.
func (c *crowd) start(role string) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := c.job
	j.Role, j.Name = role, fmt.Sprintf("%s-%d", role, len(c.children))
	text, err := json.Marshal(j)
	require.NoError(c.t, err)
	p := &process{Cmd: exec.Command(os.Args[0]), crowd: c, role: role, name: j.Name, gone: make(chan struct{})}
	p.Env = append(os.Environ(), jobVariable+"="+string(text))
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, p.Start())
	c.children = append(c.children, p)
	go p.read(out)
	return p
}

// read reads the output of a child until it ends. A line that a kill cut short lacks its
// suffix, and is ignored: its event may or may not be stored.
func (p *process) read(out io.Reader) {
	c := p.crowd
	for lines := bufio.NewScanner(out); lines.Scan(); {
		c.mu.Lock()
		if id, ok := strings.CutPrefix(lines.Text(), ackPrefix); !ok {
			p.log = append(p.log, lines.Text())
		} else if id, ok := strings.CutSuffix(id, ackSuffix); ok {
			c.acked = append(c.acked, id)
		}
		c.changed.Broadcast()
		c.mu.Unlock()
	}
	p.err = p.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !p.ending {
		c.t.Errorf("%s ended by itself: %v\n%s", p.name, p.err, strings.Join(p.log, "\n"))
		c.broken = true
	}
	c.changed.Broadcast()
	close(p.gone)
}

// end sends the child a signal that ends it, and waits for its end.
func (p *process) end(signal os.Signal) error {
	p.crowd.mu.Lock()
	p.ending = true
	p.crowd.mu.Unlock()
	_ = p.Process.Signal(signal) // fails if the process has ended
	<-p.gone
	return p.err
}

// logged returns the number of the child's log lines that contain a text.
func (p *process) logged(text string) (n int) {
	p.crowd.mu.Lock()
	defer p.crowd.mu.Unlock()
	for _, line := range p.log {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// tooSlow is how stores say that a machine was too slow for what they bound by
// time: no sign that the database was away.
var tooSlow = regexp.MustCompile(`holds the write lock|deadline exceeded|slower than 10 seconds`)

// failures counts how often the child said that its store was away.
func (p *process) failures() (n int) {
	p.crowd.mu.Lock()
	defer p.crowd.mu.Unlock()
	for _, line := range p.log {
		if strings.Contains(line, "the store fails") && !tooSlow.MatchString(line) {
			n++
		}
	}
	return n
}

// running returns the children of a role that the test has not ended.
func (c *crowd) running(role string) []*process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.children), func(p *process) bool { return p.ending || p.role != role })
}

// awaitAcknowledged waits until the emitters have reported n events.
func (c *crowd) awaitAcknowledged(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.acked) < n && !c.broken {
		c.changed.Wait()
	}
}

func (c *crowd) acknowledged() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.acked)
}

// stopEmitting ends the emitters. Each finishes its present event first. One that was only just
// started dies of the signal, before it has emitted anything.
func (c *crowd) stopEmitting() {
	for _, p := range c.running(emitterRole) {
		err := p.end(syscall.SIGTERM)
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM {
			continue
		}
		require.NoError(c.t, err)
	}
}

func (c *crowd) killAll() {
	for _, role := range []string{emitterRole, dispatcherRole, hostRole, listenerRole} {
		for _, p := range c.running(role) {
			_ = p.end(os.Kill)
		}
	}
}
