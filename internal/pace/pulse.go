package pace

import "time"

// Last is when a loop took a step last, and what came of it.
type Last struct {
	At  time.Time
	Err error
}

// Pulse tells how long a loop has been in one step. Its zero value is ready. One goroutine calls
// Begin and End, any may call For.
type Pulse struct{ began Moment }

// Begin notes that a step begins that is to end soon.
func (p *Pulse) Begin() { p.began.Note() }

// End notes that the loop waits, or has ended.
func (p *Pulse) End() { p.began.Clear() }

// For returns how long the step that is under way has lasted; 0 if none is.
func (p *Pulse) For() time.Duration {
	if passed, ok := p.began.Ago(); ok {
		return max(passed, 1)
	}
	return 0
}
