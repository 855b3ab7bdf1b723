package crash

import (
	"bufio"
	"encoding/json"
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

// crowd is the child processes of a test, at work on one store.
type crowd struct {
	t   *testing.T
	job job // the part that all have in common

	mu       sync.Mutex
	children []*process // in the order of their starts; ended ones too
	acked    []string   // ids of events whose Emit returned
	broken   bool       // a child ended by itself
	changed  *sync.Cond
}

type process struct {
	*exec.Cmd
	crowd      *crowd
	role, name string
	ending     bool // by our doing
	log        []string
	gone       chan struct{}
	err        error // of the end, once gone
}

func newCrowd(t *testing.T, j job) *crowd {
	c := &crowd{t: t, job: j}
	c.changed = sync.NewCond(&c.mu)
	t.Cleanup(c.killAll)
	return c
}

// start starts one more child.
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

// read notes what a child says. Of a line that a kill cut short the end is
// missing, and what was not reported may or may not have been stored.
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

// end sends the child a signal that ends it and waits until it is gone.
func (p *process) end(signal os.Signal) error {
	p.crowd.mu.Lock()
	p.ending = true
	p.crowd.mu.Unlock()
	_ = p.Process.Signal(signal) // it may be gone
	<-p.gone
	return p.err
}

// logged counts the child's log lines with that text.
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

// running returns the children of a role that were not ended.
func (c *crowd) running(role string) []*process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.children), func(p *process) bool { return p.ending || p.role != role })
}

// awaitAcknowledged waits until so many events are certain to be stored.
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

// stopEmitting ends the emitters, each after the event that it is at.
func (c *crowd) stopEmitting() {
	for _, p := range c.running(emitterRole) {
		require.NoError(c.t, p.end(syscall.SIGTERM))
	}
}

func (c *crowd) killAll() {
	for _, role := range []string{emitterRole, dispatcherRole} {
		for _, p := range c.running(role) {
			_ = p.end(os.Kill)
		}
	}
}
