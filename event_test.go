package alotwebhook_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// The trace of the sender is nothing that a customer should see, or that a payload should depend on.
func TestTraceParentIsNoPartOfThePayload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	for _, trace := range []string{"", traceParent, strings.Replace(traceParent, "-01", "-ff", 1)} {
		plain := newEvent(t)
		traced := plain
		traced.TraceParent = trace
		require.NoError(t, w.Emit(t.Context(), traced))
		stored, err := w.Event(t.Context(), traced.ID)
		require.NoError(t, err)
		require.Equal(t, trace, stored.TraceParent)
		require.Equal(t, string(plain.Payload()), string(traced.Payload()))

		traced.TraceParent = traceParent
		require.NoError(t, traced.UnmarshalJSON(stored.Payload()))
		require.Empty(t, traced.TraceParent, "a payload has none")
	}
}

// The specification has a receiver ignore what is malformed: such a trace would be lost unseen.
func TestEmitRefusesTraceParents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	for name, bad := range map[string]string{
		"a later version":    "01" + traceParent[2:],
		"no version":         "ff" + traceParent[2:],
		"a later form":       traceParent + "-02",
		"cut short":          traceParent[:54],
		"upper case":         strings.ToUpper(traceParent),
		"no trace":           "00-" + strings.Repeat("0", 32) + traceParent[35:],
		"no span":            traceParent[:36] + strings.Repeat("0", 16) + "-01",
		"no hex in trace":    strings.Replace(traceParent, "0af7", "0ag7", 1),
		"no hex in span":     strings.Replace(traceParent, "b7ad", "b7 d", 1),
		"no hex in flags":    traceParent[:53] + "0x",
		"no - before span":   traceParent[:35] + "_" + traceParent[36:],
		"no - before flags":  traceParent[:52] + "_" + traceParent[53:],
		"of as many bytes":   traceParent[:53] + "é",
		"blank":              " ",
		"a whole header":     "traceparent: " + traceParent,
		"very long":          traceParent + strings.Repeat("0", 1<<20),
		"with a line's end":  traceParent + "\n",
		"with a NUL":         traceParent[:54] + "\x00",
		"with a sign before": "-" + traceParent[:54],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := newEvent(t)
			event.TraceParent = bad
			var field *alotwebhook.FieldError
			err := w.Emit(t.Context(), event)
			require.ErrorAs(t, err, &field)
			require.Equal(t, "traceParent", field.Field)
			require.Less(t, len(err.Error()), 400, "the value is cut")
			_, err = w.Event(t.Context(), event.ID)
			require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		})
	}
}
