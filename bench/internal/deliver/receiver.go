package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/usage"
)

// Roles are the roles of the processes that this package starts. A program that measures gives
// them to [child.Main].
func Roles() child.Roles {
	return child.Roles{receiverRole: receive, dispatcherRole: dispatch}
}

const receiverRole = "receiver"

// Receiver is a process that responds to every request with 204. It is a process of its own,
// so that its work does not count for any contender.
type Receiver struct {
	URL     string
	process *child.Process
}

// received describes the state of a receiver.
type received struct {
	URL   string
	Count int
	CPU   time.Duration
}

// StartReceiver starts one on loopback. It is killed when ctx ends.
func StartReceiver(ctx context.Context) (*Receiver, error) {
	process, err := child.Start(ctx, receiverRole, nil)
	if err != nil {
		return nil, err
	}
	r := &Receiver{process: process}
	now, err := r.state(ctx)
	if err != nil {
		r.Stop()
		return nil, err
	}
	r.URL = now.URL
	return r, nil
}

// Stop ends the receiver.
func (r *Receiver) Stop() { r.process.Stop() }

// state returns how much has arrived since the start.
func (r *Receiver) state(ctx context.Context) (received, error) {
	var now received
	err := r.process.Call(ctx, "state", nil, &now)
	return now, err
}

// wait returns once that many requests have arrived since the start.
func (r *Receiver) wait(ctx context.Context, count int) error {
	return r.process.Call(ctx, "wait", count, nil)
}

// counter counts requests, and tells when there were as many as somebody waits for.
type counter struct {
	count, target atomic.Int64
	reached       chan struct{}
}

func (c *counter) add() {
	if c.count.Add(1) == c.target.Load() {
		c.reached <- struct{}{}
	}
}

// wait is called by one goroutine at a time.
func (c *counter) wait(ctx context.Context, target int64) error {
	c.target.Store(target)
	for c.count.Load() < target {
		select {
		case <-c.reached: // maybe of an earlier target
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// receive is the role of the receiver.
func receive(context.Context, json.RawMessage) (child.Handler, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &counter{reached: make(chan struct{}, 1)}
	handle := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		w.WriteHeader(http.StatusNoContent)
		c.add()
	}
	go func() { _ = http.Serve(l, http.HandlerFunc(handle)) }() // serves until the process ends
	return func(ctx context.Context, method string, argument json.RawMessage) (any, error) {
		switch method {
		case "state":
			return received{"http://" + l.Addr().String(), int(c.count.Load()), usage.CPU()}, nil
		case "wait":
			var target int64
			if err := json.Unmarshal(argument, &target); err != nil {
				return nil, err
			}
			return nil, c.wait(ctx, target)
		}
		return nil, fmt.Errorf("a receiver has no method %q", method)
	}, nil
}
