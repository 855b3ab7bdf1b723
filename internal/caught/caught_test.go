package caught_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/caught"
)

// fragile is an error whose methods panic if it is a nil pointer.
type fragile struct{ cause error }

func (f *fragile) Error() string { return "fragile" }
func (f *fragile) Unwrap() error { return f.cause }

// same is an error that compares its text with that of any other.
type same struct{ error }

func (s same) Is(target error) bool { return s.Error() == target.Error() }

// endless is an error that panics with itself.
type endless struct{}

func (e endless) Error() string { panic(e) }

func TestCallReturnsAnErrorThatCanBeAsked(t *testing.T) {
	t.Parallel()
	fine := fmt.Errorf("reading: %w", same{errors.New("fine")})
	for name, call := range map[string]func(f func() error) error{
		"Call":      func(f func() error) error { return caught.Call("handler", f) },
		"Handle":    caught.Handle,
		"Look":      func(f func() error) error { return caught.Look("handler's error", f()) },
		"Host.Call": func(f func() error) error { return caught.New(nil).Call("handler", f) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, call(func() error { return nil }))
			require.Equal(t, fine, call(func() error { return fine }))
			for _, err := range []error{(*fragile)(nil), fmt.Errorf("reading: %w", (*fragile)(nil)), endless{}} {
				got := call(func() error { return err })
				require.ErrorContains(t, got, "handler's error panicked: ")
				require.NotErrorIs(t, got, fine, "nor does it panic now")
			}
		})
	}
}

func TestAPanicCanBeAskedForItsValue(t *testing.T) {
	t.Parallel()
	for _, value := range []any{(*fragile)(nil), endless{}} {
		got := caught.Call("handler", func() error { panic(value) })
		require.EqualError(t, got, fmt.Sprintf("alotwebhook: handler panicked: a %T whose methods panic", value))
		require.NotErrorIs(t, got, http.ErrAbortHandler)
	}
}

func TestHandleLetsAnAbortThrough(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { _ = caught.Handle(func() error { panic(http.ErrAbortHandler) }) })
	require.ErrorIs(t, caught.Handle(func() error { return http.ErrAbortHandler }), http.ErrAbortHandler, "which is no panic")
}
