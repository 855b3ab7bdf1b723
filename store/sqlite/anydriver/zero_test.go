package anydriver_test

import (
	"context"
	"database/sql"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite/anydriver"
)

// someValue returns a value for an argument of a method: a zero one, or a list of one. An id is one
// that may be stored, since no store has to look for others.
func someValue(ctx context.Context, method string, kind reflect.Type) reflect.Value {
	switch {
	case kind == reflect.TypeFor[context.Context]():
		return reflect.ValueOf(ctx)
	case kind.Kind() == reflect.Slice:
		return reflect.MakeSlice(kind, 1, 1)
	case kind.Kind() == reflect.String && method == "Event":
		return reflect.ValueOf("evt_01jcc700000000000000000000")
	case kind.Kind() == reflect.String:
		return reflect.ValueOf("dlv_01jcc700000000000000000000")
	}
	return reflect.Zero(kind)
}

// callAll calls every method that takes a context and returns an error, and hands on each error.
func callAll(ctx context.Context, store any, see func(name string, err error)) {
	of := reflect.ValueOf(store)
	for i := range of.NumMethod() {
		name, m := of.Type().Method(i).Name, of.Method(i).Type()
		if m.NumIn() == 0 || m.In(0) != reflect.TypeFor[context.Context]() || m.NumOut() == 0 || m.Out(m.NumOut()-1) != reflect.TypeFor[error]() {
			continue
		}
		var args []reflect.Value
		for j := range m.NumIn() {
			args = append(args, someValue(ctx, name, m.In(j)))
		}
		call := of.Method(i).Call
		if m.IsVariadic() {
			call = of.Method(i).CallSlice
		}
		out := call(args)
		err, _ := out[len(out)-1].Interface().(error)
		see(name, err)
	}
}

// Who ignores the error of Open or New has such a store. It must neither hang nor panic.
func TestStoreThatWasNotMade(t *testing.T) {
	t.Parallel()
	const says = "alotwebhook: sqlite: the store is nil or zero; make the store with Open or New"
	for _, s := range []*anydriver.Store{nil, {}} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // a last resort
		defer cancel()
		n := 0
		callAll(ctx, s, func(name string, err error) {
			require.ErrorContains(t, err, says, name)
			n++
		})
		require.Greater(t, n, 30)
		require.ErrorContains(t, s.Close(), says)
		event := newEvent(t, "org_1")
		require.ErrorContains(t, s.Tx(&sql.Tx{}).Enqueue(ctx, []alotwebhook.Event{event}), says)
		require.ErrorContains(t, s.Tx(nil).Enqueue(ctx, nil), says)
	}
}
