package storetest

import (
	"reflect"

	"github.com/alot/alotwebhook"
)

// with returns a test of an optional capability. It is skipped if the store does not have that.
func with[C any](test func(*trial, C)) func(*trial) {
	return func(t *trial) {
		c, ok := capabilityOf[C](t.store)
		if !ok {
			t.Skipf("the store is not an %v, which is optional", reflect.TypeFor[C]())
		}
		test(t, c)
	}
}

// capabilityOf returns the store as a C, or one that it wraps, as a dispatcher finds it. Several
// values have a capability together if each has it.
func capabilityOf[C any](s alotwebhook.Store) (c C, ok bool) {
	if values, are := s.(*shared); are {
		for _, value := range values.values {
			if _, ok := capabilityOf[C](value); !ok {
				return c, false
			}
		}
	}
	c, ok = s.(C)
	if outer, wraps := s.(interface{ Unwrap() alotwebhook.Store }); wraps && !ok {
		return capabilityOf[C](outer.Unwrap())
	}
	return c, ok
}

// nextAs returns the value for the next call of a capability that all values have.
func nextAs[C any](s *shared) C {
	c, _ := capabilityOf[C](s.next())
	return c
}
