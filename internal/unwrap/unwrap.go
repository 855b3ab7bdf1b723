// Package unwrap finds what a thing can do, or one that it wraps.
package unwrap

// To returns the thing as a C, or one that its method Unwrap leads to; nil if none is one.
func To[C, T any](thing T) C {
	c, ok := any(thing).(C)
	if outer, wraps := any(thing).(interface{ Unwrap() T }); wraps && !ok {
		return To[C](outer.Unwrap())
	}
	return c
}
