package claim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// Canonical returns the headers with each name in canonical form, as a server of net/http has them. Function
// services and queues hand names on in lower case, and then a look-up finds nothing. It returns h itself where
// all names are in that form. Values whose names differ in case alone stand together then, so that a signature
// that is there twice shows.
func Canonical(h http.Header) http.Header {
	for name := range h {
		if http.CanonicalHeaderKey(name) != name {
			return canonical(h)
		}
	}
	return h
}

func canonical(h http.Header) http.Header {
	c := make(http.Header, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) { // sorted, so that the result does not depend on chance
		for _, value := range h[name] {
			c.Add(name, value)
		}
	}
	return c
}

// missing returns err, which says that headers of a signature are missing. Where one stands there under a name that
// no look-up finds, the error says so.
func missing(h http.Header, err error) error {
	for name := range h {
		switch c := http.CanonicalHeaderKey(name); {
		case name == c:
		case c == header, c == standardID, c == standardTimestamp, c == standardSignature:
			return fmt.Errorf("%w: %s stands there with a name not in canonical form: make the header with Header.Add", err, name)
		}
	}
	return err
}

// doubled returns the error for headers with several signatures.
func doubled(n int) error {
	return fmt.Errorf("%w: %s stands there %d times; of an event of API Gateway or ALB, take headers or multiValueHeaders, not both", ErrMalformed, header, n)
}
