// Package caught calls functions of others, and returns their panics as errors.
package caught

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
)

// Panic is a panic. The stack holds no values of variables, so it may be logged.
type Panic struct {
	What  string // has panicked
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprintf("alotwebhook: %s panicked: %v", p.What, p.Value) }

// Unwrap returns the value if it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// Call calls f and returns its error, or its panic as a [Panic] of what.
func Call(what string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &Panic{what, v, debug.Stack()}
		}
	}()
	return f()
}

// Handle is [Call] for a handler of requests: it lets [http.ErrAbortHandler] through, by which a
// handler asks net/http to cut the connection.
func Handle(f func() error) error {
	err := Call("handler", f)
	if p := (*Panic)(nil); errors.As(err, &p) && p.Value == http.ErrAbortHandler {
		panic(p.Value)
	}
	return err
}
