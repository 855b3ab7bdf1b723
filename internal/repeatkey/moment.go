package repeatkey

import "time"

// SameMoment reports whether two orders of something are for the same time. Any time that has come
// already stands for now.
func SameMoment(effective, at time.Time) bool {
	now := time.Now()
	if !at.After(now) {
		return !effective.After(now)
	}
	return effective.Equal(at)
}
