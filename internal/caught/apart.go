package caught

import (
	"errors"
	"runtime/debug"
)

// errExit is the value of a [Panic] that was none.
var errExit = errors.New("it has ended its goroutine by runtime.Goexit, as the FailNow of a test does")

// Apart is [Host.Call] in a goroutine of its own. There f may end the goroutine by [runtime.Goexit],
// as the FailNow of a test does: that is a [Panic], too. Otherwise whoever calls would end with
// it, and no part of the work of its goroutine would be done any more.
func (h *Host) Apart(what string, f func() error) error {
	p, err := apart(what, f)
	return h.told(p, err)
}

// apart is try in a goroutine of its own.
func apart(what string, f func() error) (p *Panic, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p = &Panic{what, errExit, nil} // unless try returns
		defer func() {
			if p != nil && p.Value == any(errExit) {
				p.Stack = debug.Stack()
			}
		}()
		p, err = try(what, f)
	}()
	<-done
	return p, err
}
