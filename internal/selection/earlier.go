package selection

import "time"

// Earlier returns the earlier of two bounds; zero is none.
func Earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
