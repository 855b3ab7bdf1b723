// Package ranges finds the first of several values that is not in its range.
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
