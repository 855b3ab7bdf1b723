package rate

import "time"

// Pace is how often a thing may be used.
type Pace struct {
	// Interval lies between two uses in the long run. It is more than 0.
	Interval time.Duration
	// Burst is the time in which all uses that may come at once become free again: they
	// are Burst / Interval, rounded down. It is not less than Interval.
	Burst time.Duration
}

// Meter knows how much of one thing's pace is used up: it is the instant at which all its
// uses are free again. The zero Meter has them all free.
type Meter struct{ full time.Time }

// Take uses the thing once and returns 0, or returns how long to wait until it can be used.
func (m *Meter) Take(now time.Time, p Pace) (wait time.Duration) {
	full := m.from(now).Add(p.Interval)
	if wait = full.Sub(now) - p.Burst; wait > 0 {
		return wait
	}
	m.full = full
	return 0
}

// Free returns how many uses are free.
func (m *Meter) Free(now time.Time, p Pace) int {
	return max(int((p.Burst-m.from(now).Sub(now))/p.Interval), 0)
}

// Wait returns how long until n uses are free, of those that may come at once; 0 if they are.
func (m *Meter) Wait(now time.Time, p Pace, n int) time.Duration {
	return max(m.from(now).Sub(now)+time.Duration(n)*p.Interval-p.Burst, 0)
}

// Leave takes back what is free beyond n uses, and gives what is lacking to them.
func (m *Meter) Leave(now time.Time, p Pace, n int) {
	m.full = now.Add(p.Burst - time.Duration(n)*p.Interval)
}

// IsFull reports whether all uses are free.
func (m *Meter) IsFull(now time.Time) bool { return !m.full.After(now) }

// from returns when all uses are free, at the earliest now.
func (m *Meter) from(now time.Time) time.Time {
	if m.full.Before(now) {
		return now
	}
	return m.full
}
