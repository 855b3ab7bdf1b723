// Package ranges gives values their defaults, and finds the first of several that is not in its
// range.
package ranges

import (
	"cmp"
	"fmt"
)

// Result names the first value that is not in its range, and says what is wrong with it. Both are
// "" while all are.
type Result struct{ Name, Problem string }

// Check checks one more value.
func Check[T cmp.Ordered](r *Result, name string, value, least, most T) {
	if r.Name == "" && (value < least || value > most) {
		*r = Result{name, fmt.Sprintf("is %v, which is not from %v to %v", value, least, most)}
	}
}

// RateProblem says why so many requests a second cannot be meant; "" if they can.
func RateProblem(perSecond float64) string {
	if perSecond == 0 || perSecond >= 0.01 && perSecond <= 10_000 {
		return ""
	}
	return fmt.Sprintf("is %.12g requests a second; give from 0.01 to 10,000, or 0 for no limit of its own", perSecond)
}

// Set gives one more value its default if it is zero, and checks it.
func Set[T cmp.Ordered](r *Result, name string, value *T, fallback, least, most T) {
	*value = cmp.Or(*value, fallback)
	Check(r, name, *value, least, most)
}

// SetOrNone is [Set] for a value that may also be less than least: all that is less stands for
// least.
func SetOrNone[T cmp.Ordered](r *Result, name string, value *T, fallback, least, most T) {
	*value = max(cmp.Or(*value, fallback), least)
	Check(r, name, *value, least, most)
}
