package alotwebhook_test

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// answering is what a world's receivers answer.
type answering struct{ status atomic.Int64 }

func (a *answering) respond(*http.Request, int) (*http.Response, error) {
	return status(int(a.status.Load())), nil
}

// Whoever has mended a receiver tests it before enabling the endpoint.
func TestSendTestWhileDisabled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{StandardWebhooks: true}, &receivers{})
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		e.Disabled = true
		e, err := w.UpdateEndpoint(t.Context(), e)
		require.NoError(t, err)
		parked := w.emit(t)
		test, err := w.SendTest(t.Context(), e.ID, "candidate.completed")
		require.NoError(t, err)
		require.True(t, test.Test)
		time.Sleep(time.Second)
		require.Equal(t, alotwebhook.StateParked, w.delivery(t, parked, e).State)
		d := w.delivery(t, test, e)
		require.Equal(t, alotwebhook.StateDelivered, d.State)
		require.True(t, d.Test)
		require.Len(t, w.net.requests(), 1)
		require.Equal(t, []string{"true"}, w.net.requests()[0].head[alotwebhook.TestHeader])
		stored, err := w.Event(t.Context(), test.ID)
		require.NoError(t, err)
		require.True(t, stored.Test)

		sent, err := w.Redeliver(t.Context(), d.ID)
		require.NoError(t, err)
		require.True(t, sent)
		time.Sleep(time.Second)
		require.Len(t, w.net.requests(), 2)
		require.Equal(t, []string{"true"}, w.net.requests()[1].head[alotwebhook.TestHeader], "what is sent again is a test still")

		_, err = w.EnableEndpoint(t.Context(), e.ID, alotwebhook.EnableOptions{})
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.Len(t, w.net.requests(), 3)
		require.NotContains(t, w.net.requests()[2].head, alotwebhook.TestHeader)
	})
}

// A test tells of nothing but itself: it counts in no figure, is no failure of the endpoint and no
// success, and no recovery sends it again.
func TestTestsChangeNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, h := answering{}, heard{}
		var told []alotwebhook.AttemptInfo
		w := newWorld(t, alotwebhook.Config{
			Heal: true, ExhaustedOperations: true, WarnFailing: time.Minute, DisableAfter: time.Hour, OnOperation: h.on,
			Observer: &alotwebhook.Observer{Finished: func(r alotwebhook.FinishReport) { told = append(told, r.Attempts...) }},
		}, &receivers{respond: a.respond})
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		test := func(answer int) alotwebhook.Delivery {
			t.Helper()
			a.status.Store(int64(answer))
			event, err := w.SendTest(t.Context(), e.ID, "candidate.completed")
			require.NoError(t, err)
			time.Sleep(2 * time.Hour)
			return w.delivery(t, event, e)
		}
		read := func() alotwebhook.Endpoint {
			t.Helper()
			got, err := w.Endpoint(t.Context(), e.ID)
			require.NoError(t, err)
			return got
		}
		for range 2 {
			failed := test(http.StatusInternalServerError)
			require.Equal(t, []any{alotwebhook.StateFailed, 3}, []any{failed.State, failed.AttemptCount})
		}
		require.Equal(t, alotwebhook.StateFailed, test(http.StatusGone).State)
		require.Equal(t, e.Version, read().Version, "it was neither warned of nor disabled")
		require.Zero(t, read().FailingSince)
		tallies, err := w.Tallies(t.Context(), time.Now().Add(-24*time.Hour), e.ID)
		require.NoError(t, err)
		require.Empty(t, tallies)
		synctest.Wait()
		for _, info := range told {
			require.True(t, info.Test)
		}
		require.Len(t, told, 9)
		require.Len(t, w.operations(t, alotwebhook.OperationFilter{}), 1, "it was created, and no more")

		_, err = w.Recover(t.Context(), e.ID, time.Time{})
		require.NoError(t, err)
		time.Sleep(time.Hour)
		r, err := w.Recovery(t.Context(), e.ID)
		require.NoError(t, err)
		require.Zero(t, r.Recovered)
		many, err := w.RecoverMany(t.Context(), alotwebhook.Recovery{OrganizationID: "org_1"})
		require.NoError(t, err)
		require.Zero(t, w.ended(t, many).Recovered)
		require.Len(t, told, 9)

		a.status.Store(http.StatusInternalServerError)
		w.emit(t)
		time.Sleep(20 * time.Minute)
		since := read().FailingSince
		require.NotZero(t, since)
		require.Equal(t, alotwebhook.StateDelivered, test(http.StatusOK).State)
		require.Equal(t, since, read().FailingSince, "a test that succeeds heals nothing")
		again, err := w.Recovery(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}

// What a type says of tests is what a test sends.
func TestExample(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{EventTypes: append(alotwebhook.DefaultEventTypes(),
			alotwebhook.EventType{Name: "candidate.withdrew", Example: json.RawMessage(`{"name":"Jane Smith"}`), TestExample: json.RawMessage(`{"test":true}`)},
			alotwebhook.EventType{Name: "candidate.left"})}, &receivers{})
		e := w.endpoint(t, "a.example.com")
		for name, want := range map[string]string{"candidate.withdrew": `{"test":true}`, "candidate.left": `{}`} {
			event, err := w.SendTest(t.Context(), e.ID, name)
			require.NoError(t, err)
			require.Equal(t, want, string(event.Data))
		}
	})
}

func TestTestsAreNotEmitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	event := newEvent(t)
	event.Test = true
	field := &alotwebhook.FieldError{}
	require.ErrorAs(t, w.Emit(t.Context(), event), &field)
	require.Equal(t, "test", field.Field)

	_, err := alotwebhook.NewDispatcher(w.store, &alotwebhook.Config{EventTypes: []alotwebhook.EventType{{Name: "a.b", TestExample: json.RawMessage(`{`)}}})
	require.ErrorAs(t, err, &field)
	require.Equal(t, "eventTypes[0].testExample", field.Field)
}
