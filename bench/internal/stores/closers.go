package stores

import (
	"errors"
	"slices"
)

// Closers are functions to be called in the end, the last one first.
type Closers []func() error

// Add adds one.
func (c *Closers) Add(f func() error) { *c = append(*c, f) }

// Close calls all of them, also if one has failed, and each once.
func (c *Closers) Close() (err error) {
	for _, f := range slices.Backward(*c) {
		err = errors.Join(err, f())
	}
	*c = nil
	return err
}
