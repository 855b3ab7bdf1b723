// Package ranges says which of several values are not in their ranges.
package ranges

import (
	"cmp"
	"fmt"
)

// Field is a value by name, with the least and the most that it may be.
type Field[T cmp.Ordered] struct {
	Name               string
	Value, Least, Most T
}

// Problem returns the name of the first field that is not in its range, and what is wrong with
// it; "" if all are.
func Problem[T cmp.Ordered](fields []Field[T]) (name, problem string) {
	for _, f := range fields {
		if f.Value < f.Least || f.Value > f.Most {
			return f.Name, fmt.Sprintf("is %v, which is not from %v to %v", f.Value, f.Least, f.Most)
		}
	}
	return "", ""
}
