package seal

import "time"

// Pair is the secret of an endpoint and, during a rotation, the next one; otherwise Next is "".
type Pair[S ~string] struct {
	Current, Next S
	NextAt        time.Time // when Next signs in the place of Current
}

// Signing returns the secret that signs at that time.
func (p Pair[S]) Signing(at time.Time) S {
	if p.Next != "" && !at.Before(p.NextAt) {
		return p.Next
	}
	return p.Current
}

// Newest returns the secret that was ordered last, and the time from which it signs; zero if it is the
// only one.
func (p Pair[S]) Newest() (secret S, from time.Time) {
	if p.Next == "" {
		return p.Current, time.Time{}
	}
	return p.Next, p.NextAt
}

// Rotated returns the pair after an order, at the time now, that next signs from that time on, kept to
// the microsecond. What was to come before is replaced.
func (p Pair[S]) Rotated(next S, from, now time.Time) Pair[S] {
	if from.Before(now) {
		return Pair[S]{Current: next}
	}
	return Pair[S]{Current: p.Signing(now), Next: next, NextAt: from.UTC().Truncate(time.Microsecond)}
}

// OpenPair opens both secrets of an endpoint.
func (s *Safe[S]) OpenPair(endpointID string, sealed Pair[S]) (opened Pair[S], err error) {
	opened.NextAt = sealed.NextAt
	if opened.Current, err = s.Open(endpointID, sealed.Current); err == nil && sealed.Next != "" {
		opened.Next, err = s.Open(endpointID, sealed.Next)
	}
	return opened, err
}
