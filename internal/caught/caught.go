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

// Call calls f and returns its error, or its panic as a [Panic] of what. An error whose own methods panic is
// one as well: see [Look].
func Call(what string, f func() error) error {
	p, err := try(what, f)
	if p == nil {
		return err
	}
	return p
}

// Look returns err, unless one of its methods panics, as those of a nil pointer may: whoever asks what it is
// or wraps, or prints it, would meet that panic. Then it returns the panic, which wraps err no more.
func Look(what string, err error) error {
	if err == nil {
		return nil
	}
	if p := recovered(what, func() { ask(err) }); p != nil {
		return p
	}
	return err
}

// Handle is [Call] for a handler of requests: it lets [http.ErrAbortHandler] through, by which a
// handler asks net/http to cut the connection.
func Handle(f func() error) error {
	p, err := try("handler", f)
	switch {
	case p == nil:
		return err
	case p.Value == http.ErrAbortHandler:
		panic(p.Value)
	}
	return p
}

// try returns the error of f, or a panic: that of f, or of its error.
func try(what string, f func() error) (p *Panic, err error) {
	if p = recovered(what, func() { err = f() }); p != nil || err == nil {
		return p, nil
	}
	return recovered(what+"'s error", func() { ask(err) }), err
}

// recovered calls f and returns its panic; nil if there is none. A value that is an error and panics itself
// is replaced by its type.
func recovered(what string, f func()) (p *Panic) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		p = &Panic{what, v, debug.Stack()}
		if err, ok := v.(error); ok && panics(err) {
			p.Value = fmt.Sprintf("a %T whose methods panic", v)
		}
	}()
	f()
	return nil
}

// panics reports whether a method of err panics.
func panics(err error) (does bool) {
	defer func() { does = recover() != nil }()
	ask(err)
	return false
}

// nobody is an error that no other one is or wraps.
type nobody struct{}

func (nobody) Error() string { return "no error" }

// ask calls the methods that an error and all that it wraps may have.
func ask(err error) {
	_ = err.Error()
	_ = errors.Is(err, nobody{})
	_ = errors.As(err, new(nobody))
}
