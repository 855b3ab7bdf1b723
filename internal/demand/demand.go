// Package demand carries in a context what the settings demand of a change beyond what callers of the
// dispatcher can: the id that it has to get, so that a form that is sent twice does it once, and the
// version that it has to find.
package demand

import (
	"context"

	"github.com/alot/alotwebhook/internal/typeid"
)

type (
	idKey      struct{}
	versionKey struct{}
)

// WithID returns a context in which [ID] returns that id.
func WithID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, idKey{}, id)
}

// ID returns the id that WithID gave, or a new one with the prefix. The error is that of the operating
// system's source of random bytes.
func ID(ctx context.Context, prefix string) (string, error) {
	if id, ok := ctx.Value(idKey{}).(string); ok {
		return id, nil
	}
	return typeid.New(prefix)
}

// WithVersion returns a context in which [Version] accepts that version alone.
func WithVersion(ctx context.Context, version int64) context.Context {
	return context.WithValue(ctx, versionKey{}, version)
}

// Version returns conflict if WithVersion gave another version than the one that is found, else nil.
func Version(ctx context.Context, found int64, conflict error) error {
	if wanted, ok := ctx.Value(versionKey{}).(int64); ok && wanted != found {
		return conflict
	}
	return nil
}
