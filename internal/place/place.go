// Package place tells whether a transaction is one of the store that it is given to.
package place

import "github.com/alot/alotwebhook/internal/unwrap"

// Named is a store, or what stores in a transaction of the host's, that says where its tables are.
type Named interface {
	// Place names the tables' database, for people. Two stores on the same tables return the same;
	// one that was not made returns "".
	Place() string
}

// Problem says that q is a transaction of another store than that one, which is called whose, as the rest
// of a sentence; "" if it is of this one, or if one of the two does not say its place.
func Problem[Q, S any](q Q, whose string, store S) string {
	of, to := placeOf(q), placeOf(store)
	if of == "" || to == "" || of == to {
		return ""
	}
	return "is a transaction of the store in " + of + ", and " + whose + " is in " + to + ": give the Tx of that one"
}

func placeOf[T any](thing T) string {
	if n := unwrap.To[Named](thing); n != nil {
		return n.Place()
	}
	return ""
}
