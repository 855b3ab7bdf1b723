package anydriver_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/store/sqlite/anydriver"
)

// Errors in the form of each driver's.
type (
	methodError struct{ code int }      // modernc.org/sqlite and glebarez/go-sqlite
	typedError  struct{ code typed }    // ncruces/go-sqlite3
	fieldError  struct{ Code numbered } // mattn/go-sqlite3
	textError   struct{ Code string }   // of no SQLite

	twoMethods struct{ typedError }                  // ncruces/go-sqlite3
	number     uint16                                // ncruces/go-sqlite3, of a statement
	twoFields  struct{ Code, ExtendedCode numbered } // mattn/go-sqlite3

	typed    uint8
	numbered int
)

func (e *methodError) Error() string { return "method" }
func (e *methodError) Code() int     { return e.code }
func (e *typedError) Error() string  { return "typed" }
func (e *typedError) Code() typed    { return e.code }
func (e fieldError) Error() string   { return "field" }
func (e textError) Error() string    { return "text" }

func (e *twoMethods) ExtendedCode() uint16 { return 517 }
func (e number) Error() string             { return "number" }
func (e number) Code() typed               { return typed(e) }
func (e twoFields) Error() string          { return "fields" }

func TestExtendedResultCode(t *testing.T) {
	t.Parallel()
	for _, err := range []error{&methodError{517}, &twoMethods{typedError{5}}, twoFields{5, 517}, number(517)} {
		require.Equal(t, 517, anydriver.ExtendedResultCode(fmt.Errorf("write: %w", err)), "%#v", err)
		require.Equal(t, 5, anydriver.ResultCode(err), "%#v", err)
	}
	require.Equal(t, 5, anydriver.ExtendedResultCode(fieldError{5}))
	require.Zero(t, anydriver.ExtendedResultCode(nil))
}

func TestResultCode(t *testing.T) {
	t.Parallel()
	for _, err := range []error{&methodError{5}, &methodError{5 | 2<<8}, &typedError{5}, fieldError{5}, &fieldError{5}} {
		require.Equal(t, 5, anydriver.ResultCode(err), "%#v", err)
		require.Equal(t, 5, anydriver.ResultCode(fmt.Errorf("begin: %w", err)), "%#v", err)
		require.Equal(t, 5, anydriver.ResultCode(errors.Join(errors.New("other"), err)), "%#v", err)
	}
	for _, err := range []error{nil, errors.New("locked"), textError{"5"}, (*methodError)(nil), &methodError{}} {
		require.Zero(t, anydriver.ResultCode(err), "%#v", err)
	}
}
