package storetest

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
)

// dispatcher returns a dispatcher on the store.
func (t *trial) dispatcher() *alotwebhook.Dispatcher {
	t.Helper()
	d, err := alotwebhook.NewDispatcher(t.store, nil)
	require.NoError(t, err)
	return d
}

// asked is a call of a dispatcher, with a part of its input to be chosen.
type asked[T any] map[string]func(T) error

// errOnly returns the error of a call.
func errOnly[T any](_ T, err error) error { return err }

func pageErr[T any](_ []T, _ string, err error) error { return err }

func firstErr[T any](all iter.Seq2[T, error]) error {
	for _, err := range all {
		return err
	}
	return nil
}

// onlyIDs are the calls that name something by its id.
func (t *trial) onlyIDs(d *alotwebhook.Dispatcher) asked[string] {
	ctx := t.ctx()
	return asked[string]{
		"Endpoint":         func(id string) error { return errOnly(d.Endpoint(ctx, id)) },
		"UpdateEndpoint":   func(id string) error { return errOnly(d.UpdateEndpoint(ctx, alotwebhook.Endpoint{ID: id})) },
		"DeleteEndpoint":   func(id string) error { return d.DeleteEndpoint(ctx, id) },
		"EnableEndpoint":   func(id string) error { return errOnly(d.EnableEndpoint(ctx, id, alotwebhook.EnableOptions{})) },
		"ProveEndpoint":    func(id string) error { return errOnly(d.ProveEndpoint(ctx, id)) },
		"RotateSecret":     func(id string) error { return errOnly(d.RotateSecret(ctx, id, "", time.Time{})) },
		"RotateSecretOnce": func(id string) error { _, _, err := d.RotateSecretOnce(ctx, "key", id, "", time.Time{}); return err },
		"SendTest":         func(id string) error { return errOnly(d.SendTest(ctx, id, completed)) },
		"SendTestOnce":     func(id string) error { _, _, err := d.SendTestOnce(ctx, "key", id, completed); return err },
		"Recover":          func(id string) error { return errOnly(d.Recover(ctx, id, time.Time{})) },
		"SendMissed":       func(id string) error { return errOnly(d.SendMissed(ctx, id, time.Time{})) },
		"Recovery":         func(id string) error { return errOnly(d.Recovery(ctx, id)) },
		"StopRecovery":     func(id string) error { return errOnly(d.StopRecovery(ctx, id)) },
		"Pause":            func(id string) error { return errOnly(d.Pause(ctx, alotwebhook.Pause{EndpointID: id})) },
		"Resume":           func(id string) error { return d.Resume(ctx, alotwebhook.Pause{EndpointID: id}) },
		"Delivery":         func(id string) error { return errOnly(d.Delivery(ctx, id)) },
		"Redeliver":        func(id string) error { return errOnly(d.Redeliver(ctx, id)) },
		"Event":            func(id string) error { return errOnly(d.Event(ctx, id)) },
	}
}

// texts are the calls that select by a text.
func (t *trial) texts(d *alotwebhook.Dispatcher) asked[string] {
	all := asked[string]{}
	for name, call := range t.onlyIDs(d) {
		all[name] = call
	}
	ctx, ago := t.ctx(), time.Now().Add(-time.Hour)
	for name, f := range map[string]func(string) alotwebhook.Filter{
		"OrganizationID": func(s string) alotwebhook.Filter { return alotwebhook.Filter{OrganizationID: s} },
		"EndpointID":     func(s string) alotwebhook.Filter { return alotwebhook.Filter{EndpointID: s} },
		"EventID":        func(s string) alotwebhook.Filter { return alotwebhook.Filter{EventID: s} },
		"EventType":      func(s string) alotwebhook.Filter { return alotwebhook.Filter{EventType: s} },
		"Subject":        func(s string) alotwebhook.Filter { return alotwebhook.Filter{Subject: s} },
		"State":          func(s string) alotwebhook.Filter { return alotwebhook.Filter{State: alotwebhook.DeliveryState(s)} },
		"Cursor":         func(s string) alotwebhook.Filter { return alotwebhook.Filter{Cursor: s} },
	} {
		all["DeliveryPage "+name] = func(s string) error { return pageErr(d.DeliveryPage(ctx, f(s))) }
		all["Deliveries "+name] = func(s string) error { return firstErr(d.Deliveries(ctx, f(s))) }
	}
	for name, f := range map[string]func(string) alotwebhook.EndpointFilter{
		"OrganizationID": func(s string) alotwebhook.EndpointFilter { return alotwebhook.EndpointFilter{OrganizationID: s} },
		"IDs":            func(s string) alotwebhook.EndpointFilter { return alotwebhook.EndpointFilter{IDs: []string{s}} },
		"URLPart":        func(s string) alotwebhook.EndpointFilter { return alotwebhook.EndpointFilter{URLPart: s} },
		"Cursor":         func(s string) alotwebhook.EndpointFilter { return alotwebhook.EndpointFilter{Cursor: s} },
	} {
		all["Endpoints "+name] = func(s string) error { return firstErr(d.Endpoints(ctx, f(s))) }
	}
	for name, f := range map[string]func(string) alotwebhook.OperationFilter{
		"OrganizationID": func(s string) alotwebhook.OperationFilter { return alotwebhook.OperationFilter{OrganizationID: s} },
		"EndpointID":     func(s string) alotwebhook.OperationFilter { return alotwebhook.OperationFilter{EndpointID: s} },
		"Type": func(s string) alotwebhook.OperationFilter {
			return alotwebhook.OperationFilter{Type: alotwebhook.OperationType(s)}
		},
		"Cursor": func(s string) alotwebhook.OperationFilter { return alotwebhook.OperationFilter{Cursor: s} },
	} {
		all["Operations "+name] = func(s string) error { return pageErr(d.Operations(ctx, f(s))) }
	}
	for name, f := range map[string]func(string) alotwebhook.RecoveryFilter{
		"EndpointID": func(s string) alotwebhook.RecoveryFilter { return alotwebhook.RecoveryFilter{EndpointID: s} },
		"State": func(s string) alotwebhook.RecoveryFilter {
			return alotwebhook.RecoveryFilter{State: alotwebhook.RecoveryState(s)}
		},
		"Cursor": func(s string) alotwebhook.RecoveryFilter { return alotwebhook.RecoveryFilter{Cursor: s} },
	} {
		all["Recoveries "+name] = func(s string) error { return pageErr(d.Recoveries(ctx, f(s))) }
	}
	for name, r := range map[string]func(string) alotwebhook.Recovery{
		"OrganizationID": func(s string) alotwebhook.Recovery { return alotwebhook.Recovery{OrganizationID: s} },
		"EndpointID":     func(s string) alotwebhook.Recovery { return alotwebhook.Recovery{EndpointID: s, OrganizationID: "org"} },
		"EventID":        func(s string) alotwebhook.Recovery { return alotwebhook.Recovery{EventID: s} },
		"EventType":      func(s string) alotwebhook.Recovery { return alotwebhook.Recovery{EventType: s, OrganizationID: "org"} },
		"Reason": func(s string) alotwebhook.Recovery {
			return alotwebhook.Recovery{Reason: alotwebhook.FailureReason(s), OrganizationID: "org"}
		},
		"Subject": func(s string) alotwebhook.Recovery { return alotwebhook.Recovery{Subject: s} },
		"Note": func(s string) alotwebhook.Recovery {
			return alotwebhook.Recovery{Note: s, OrganizationID: "org", Since: ago}
		},
	} {
		t.addMany(d, all, name, r)
	}
	all["CreateEndpointOnce"] = func(s string) error {
		_, _, err := d.CreateEndpointOnce(ctx, "key", alotwebhook.Endpoint{OrganizationID: s, URL: "https://example.com/", EventTypes: []string{completed}})
		return err
	}
	all["Remove"] = func(s string) error { return errOnly(d.Remove(ctx, s, "")) }
	all["Pause OrganizationID"] = func(s string) error { return errOnly(d.Pause(ctx, alotwebhook.Pause{OrganizationID: s})) }
	all["Resume OrganizationID"] = func(s string) error { return d.Resume(ctx, alotwebhook.Pause{OrganizationID: s}) }
	all["feed OrganizationID"] = func(s string) error { return errOnly(feed.Read(ctx, d, feed.Filter{OrganizationID: s})) }
	all["feed EventTypes"] = func(s string) error {
		return errOnly(feed.Read(ctx, d, feed.Filter{OrganizationID: "org", EventTypes: []string{s}}))
	}
	all["feed Cursor"] = func(s string) error {
		return errOnly(feed.Read(ctx, d, feed.Filter{OrganizationID: "org", Cursor: "0." + s}))
	}
	return all
}

// addMany adds the calls that take a selection.
func (t *trial) addMany(d *alotwebhook.Dispatcher, all asked[string], field string, of func(string) alotwebhook.Recovery) {
	for name, call := range t.many(d) {
		all[name+" "+field] = func(s string) error { return call(of(s)) }
	}
}

// many are the calls that take a selection.
func (t *trial) many(d *alotwebhook.Dispatcher) asked[alotwebhook.Recovery] {
	ctx := t.ctx()
	return asked[alotwebhook.Recovery]{
		"RecoverMany": func(r alotwebhook.Recovery) error { return errOnly(d.RecoverMany(ctx, r)) },
		"CancelMany":  func(r alotwebhook.Recovery) error { return errOnly(d.CancelMany(ctx, r)) },
		"CountMany":   func(r alotwebhook.Recovery) error { return errOnly(d.CountMany(ctx, r)) },
		"Erase":       func(r alotwebhook.Recovery) error { return errOnly(d.Erase(ctx, r)) },
		"Surveyor.Count": func(r alotwebhook.Recovery) error {
			s, err := d.Surveyor()
			if err != nil {
				return err
			}
			return errOnly(s.Count(ctx, r))
		},
	}
}

// times are the calls that take a time.
func (t *trial) times(d *alotwebhook.Dispatcher, e alotwebhook.Endpoint) asked[time.Time] {
	ctx := t.ctx()
	all := asked[time.Time]{
		"RotateSecret":     func(at time.Time) error { return errOnly(d.RotateSecret(ctx, e.ID, "", at)) },
		"RotateSecretOnce": func(at time.Time) error { _, _, err := d.RotateSecretOnce(ctx, "key", e.ID, "", at); return err },
		"Recover":          func(at time.Time) error { return errOnly(d.Recover(ctx, e.ID, at)) },
		"SendMissed":       func(at time.Time) error { return errOnly(d.SendMissed(ctx, e.ID, at)) },
		"EnableEndpoint": func(at time.Time) error {
			return errOnly(d.EnableEndpoint(ctx, e.ID, alotwebhook.EnableOptions{Since: at}))
		},
		"Tallies": func(at time.Time) error { return errOnly(d.Tallies(ctx, at, e.ID)) },
		"Totals": func(at time.Time) error {
			s, err := d.Surveyor()
			if err != nil {
				return err
			}
			return errOnly(s.Totals(ctx, at))
		},
		"DeliveryPage Since": func(at time.Time) error { return pageErr(d.DeliveryPage(ctx, alotwebhook.Filter{Since: at})) },
		"DeliveryPage Until": func(at time.Time) error { return pageErr(d.DeliveryPage(ctx, alotwebhook.Filter{Until: at})) },
		"Deliveries Since":   func(at time.Time) error { return firstErr(d.Deliveries(ctx, alotwebhook.Filter{Since: at})) },
		"Operations Since":   func(at time.Time) error { return pageErr(d.Operations(ctx, alotwebhook.OperationFilter{Since: at})) },
		"Operations Until":   func(at time.Time) error { return pageErr(d.Operations(ctx, alotwebhook.OperationFilter{Until: at})) },
		"feed": func(at time.Time) error {
			return errOnly(feed.Read(ctx, d, feed.Filter{OrganizationID: "org", Since: at}))
		},
		"Emit": func(at time.Time) error {
			event := newEvent(t, "org", completed)
			event.Timestamp = at
			return d.Emit(ctx, event)
		},
	}
	for name, call := range t.many(d) {
		for field, r := range map[string]func(time.Time) alotwebhook.Recovery{
			"Since": func(at time.Time) alotwebhook.Recovery { return alotwebhook.Recovery{OrganizationID: "org", Since: at} },
			"Until": func(at time.Time) alotwebhook.Recovery { return alotwebhook.Recovery{OrganizationID: "org", Until: at} },
			"FailedSince": func(at time.Time) alotwebhook.Recovery {
				return alotwebhook.Recovery{OrganizationID: "org", FailedSince: at}
			},
			"FailedUntil": func(at time.Time) alotwebhook.Recovery {
				return alotwebhook.Recovery{OrganizationID: "org", FailedUntil: at}
			},
		} {
			all[name+" "+field] = func(at time.Time) error { return call(r(at)) }
		}
	}
	return all
}

// requireRefusal fails unless err says in few words, and in those of no database, what was wrong.
func (t *trial) requireRefusal(err error, format string, args ...any) {
	t.Helper()
	of := fmt.Sprintf(format, args...)
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	require.Error(t, err, of)
	if !errors.Is(err, alotwebhook.ErrInvalid) && !errors.Is(err, feed.ErrCursorExpired) {
		require.ErrorIs(t, err, alotwebhook.ErrNotFound, of)
	}
	require.Less(t, len(err.Error()), 500, of)
	require.NotContains(t, err.Error(), "SQLSTATE", of)
}

// A database may refuse such a text in its own words, or find nothing: then a host that moves from one to
// another sees its requests fail with a server's fault.
func dispatcherRefusesTexts(t *trial) {
	d := t.dispatcher()
	for name, ask := range t.texts(d) {
		for _, s := range []string{"org\x00x", "\xff", "\x00" + strings.Repeat("x", 100_000)} {
			t.requireRefusal(ask(s), "%s of %.20q", name, s)
		}
	}
}

func dispatcherRefusesTimes(t *trial) {
	d := t.dispatcher()
	e, err := d.CreateEndpoint(t.ctx(), alotwebhook.Endpoint{OrganizationID: "org", URL: "https://example.com/", EventTypes: []string{completed}})
	require.NoError(t, err)
	for name, ask := range t.times(d, e) {
		for _, year := range []int{-300_000, -4714, -1, 10_000, 294_277, 300_000} {
			t.requireRefusal(ask(time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)), "%s in %d", name, year)
		}
	}
	for _, year := range []int{1, 9999} {
		at := time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)
		require.NoError(t, pageErr(d.DeliveryPage(t.ctx(), alotwebhook.Filter{Since: at})))
		require.NoError(t, pageErr(d.Operations(t.ctx(), alotwebhook.OperationFilter{Until: at})))
	}
	_, err = d.Erase(t.ctx(), alotwebhook.Recovery{OrganizationID: "org", Since: time.Date(1, 6, 1, 0, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	_, err = d.RecoverMany(t.ctx(), alotwebhook.Recovery{FailedSince: time.Date(1, 1, 1, 1, 0, 0, 0, time.UTC), FailedUntil: time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	next, err := d.RotateSecret(t.ctx(), e.ID, "", time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
	require.NoError(t, err)
	require.NotEmpty(t, next)
}

// An id may come from a stranger: a log must not grow by all of it.
func notFoundIsShort(t *trial) {
	d := t.dispatcher()
	long := "wh_" + strings.Repeat("x", 100_000)
	for name, ask := range t.onlyIDs(d) {
		err := ask(long)
		t.requireRefusal(err, "%s", name)
		if err != nil {
			require.LessOrEqual(t, strings.Count(err.Error(), "xxx…")+strings.Count(err.Error(), `xxx"`), 1, "%s names it twice: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"Endpoint":       errOnly(t.store.Endpoint(t.ctx(), long)),
		"Delivery":       errOnly(t.store.Delivery(t.ctx(), long)),
		"Event":          errOnly(t.store.Event(t.ctx(), long)),
		"DeleteEndpoint": t.store.DeleteEndpoint(t.ctx(), long),
		"EnqueueTo":      t.store.EnqueueTo(t.ctx(), long, newEvent(t, "org", completed)),
	} {
		require.ErrorIs(t, err, alotwebhook.ErrNotFound, name)
		require.Less(t, len(err.Error()), 500, name)
	}
}

// A cursor comes back from outside. One of another list, or that somebody has cut, compares with ids like
// any other text: whoever reads on would miss a part of the list, or get it twice.
func wrongCursors(t *trial) {
	e := t.endpoint("org_1", completed)
	event := t.emit("org_1", completed, 1)[0]
	op := newOperation(t, alotwebhook.OpEndpointChanged, e)
	require.NoError(t, t.store.PutEndpoint(t.ctx(), e, op))
	for name, c := range map[string]struct {
		own string
		ask func(cursor string) error
	}{
		"Deliveries": {alotwebhook.DeliveryID(event.ID, e.ID), func(cursor string) error {
			return pageErr(t.store.Deliveries(t.ctx(), alotwebhook.Filter{Cursor: cursor}))
		}},
		"Operations": {op.ID, func(cursor string) error {
			return pageErr(t.store.Operations(t.ctx(), alotwebhook.OperationFilter{Cursor: cursor}))
		}},
		"Erase": {event.ID, func(cursor string) error {
			_, _, err := t.store.Erase(t.ctx(), alotwebhook.Recovery{OrganizationID: "org_1", Cursor: cursor}, 1)
			return err
		}},
	} {
		require.NoError(t, c.ask(c.own), name)
		_, suffix, _ := strings.Cut(c.own, "_")
		for _, cursor := range []string{"zzz", c.own[:len(c.own)-1], c.own + "0", strings.ToUpper(c.own), suffix, "wh_" + suffix} {
			require.ErrorIs(t, c.ask(cursor), alotwebhook.ErrInvalid, "%s behind %q", name, cursor)
		}
	}
}
