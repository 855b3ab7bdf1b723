package pace

import (
	"sync/atomic"
	"time"
)

// Moment is a moment that many goroutines may note and read. Its zero value is none. The time
// that has passed is right also when the clock of the machine is set meanwhile: a number of
// nanoseconds since 1970 in its place would say that an hour has passed, or less than nothing.
type Moment struct{ at atomic.Pointer[time.Time] }

// Note notes that the moment is now.
func (m *Moment) Note() {
	now := time.Now()
	m.at.Store(&now)
}

// Clear makes it none.
func (m *Moment) Clear() { m.at.Store(nil) }

// Ago returns how much time has passed since the moment; ok is false if it is none.
func (m *Moment) Ago() (passed time.Duration, ok bool) {
	at := m.at.Load()
	if at == nil {
		return 0, false
	}
	return time.Since(*at), true
}
