package pace

import (
	"sync/atomic"
	"time"
)

// Last is when a loop took a step last, and what came of it.
type Last struct {
	At  time.Time
	Err error
}

// Pulse tells how long a loop has been in one step. Its zero value is ready. One goroutine calls
// Begin and End, any may call For.
type Pulse struct{ began atomic.Int64 }

// Begin notes that a step begins that is to end soon.
func (p *Pulse) Begin() { p.began.Store(time.Now().UnixNano()) }

// End notes that the loop waits, or has ended.
func (p *Pulse) End() { p.began.Store(0) }

// For returns how long the step that is under way has lasted; 0 if none is.
func (p *Pulse) For() time.Duration {
	if began := p.began.Load(); began != 0 {
		return max(time.Since(time.Unix(0, began)), 1)
	}
	return 0
}
