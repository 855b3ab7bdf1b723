package alotwebhook_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// twoOrganizations is a world with two endpoints of org_1 and one of org_2, whose receivers work.
func twoOrganizations(t testing.TB, cfg alotwebhook.Config) *world {
	t.Helper()
	w := newWorld(t, cfg, &receivers{})
	w.endpointOf(t, "org_1", "a.example.com")
	w.endpointOf(t, "org_1", "b.example.com")
	w.endpointOf(t, "org_2", "c.example.com")
	return w
}

// hosts returns how many requests each host has had.
func (w *world) hosts() map[string]int {
	hosts := map[string]int{}
	for _, r := range w.net.requests() {
		hosts[r.host]++
	}
	return hosts
}

func (w *world) at(t testing.TB, host string) alotwebhook.Endpoint {
	t.Helper()
	for e, err := range w.Endpoints(t.Context(), alotwebhook.EndpointFilter{URLPart: host}) {
		require.NoError(t, err)
		return e
	}
	require.Fail(t, "there is no endpoint", host)
	return alotwebhook.Endpoint{}
}

func TestPause(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		of   func(t *testing.T, w *world) alotwebhook.Pause
		sent map[string]int
	}{
		"endpoint": {
			func(t *testing.T, w *world) alotwebhook.Pause {
				return alotwebhook.Pause{EndpointID: w.at(t, "a.example.com").ID}
			},
			map[string]int{"b.example.com": 1, "c.example.com": 1},
		},
		"organization": {
			func(*testing.T, *world) alotwebhook.Pause { return alotwebhook.Pause{OrganizationID: "org_1"} },
			map[string]int{"c.example.com": 1},
		},
		"all": {
			func(*testing.T, *world) alotwebhook.Pause { return alotwebhook.Pause{} },
			map[string]int{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := twoOrganizations(t, alotwebhook.Config{})
				defer w.run(t)()
				p := c.of(t, w)
				p.Note = "the receiver moves"
				paused, err := w.Pause(alotwebhook.WithActor(t.Context(), "operator"), p)
				require.NoError(t, err)
				require.Equal(t, "operator", paused.Actor)
				list, err := w.Pauses(t.Context())
				require.NoError(t, err)
				require.Equal(t, []alotwebhook.Pause{paused}, list)

				w.emitTo(t, "org_1")
				w.emitTo(t, "org_2")
				time.Sleep(100 * time.Hour)
				require.Equal(t, c.sent, w.hosts())

				p.Note = "it has moved"
				require.NoError(t, w.Resume(t.Context(), p))
				time.Sleep(time.Second)
				require.Equal(t, map[string]int{"a.example.com": 1, "b.example.com": 1, "c.example.com": 1}, w.hosts())
				require.ErrorIs(t, w.Resume(t.Context(), p), alotwebhook.ErrNotFound)
				told := w.operations(t, alotwebhook.OperationFilter{OrganizationID: paused.OrganizationID})
				require.Equal(t, []string{"deliveries.paused [operator] the receiver moves", "deliveries.resumed [] it has moved"}, told[len(told)-2:])
			})
		})
	}
}

// A process that begins to run, and one that runs already, keep to a pause that another one has put.
func TestPauseInOtherProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := twoOrganizations(t, alotwebhook.Config{})
		stop := w.run(t)
		time.Sleep(time.Second)
		other := newWorldOn(t, w.store, alotwebhook.Config{}, w.net)
		_, err := other.Pause(t.Context(), alotwebhook.Pause{})
		require.NoError(t, err)
		time.Sleep(3 * time.Second)
		w.emitTo(t, "org_1")
		time.Sleep(time.Hour)
		require.Empty(t, w.hosts())

		stop()
		w = newWorldOn(t, w.store, alotwebhook.Config{}, w.net)
		defer w.run(t)()
		time.Sleep(time.Hour)
		require.Empty(t, w.hosts())
		require.NoError(t, other.Resume(t.Context(), alotwebhook.Pause{}))
		time.Sleep(3 * time.Second)
		require.Len(t, w.hosts(), 2)
	})
}

// A process that cannot read what is paused sends nothing.
func TestPausesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &receivers{}
		store := &noPauses{Store: memory.New()}
		w := newWorldOn(t, store, alotwebhook.Config{}, net)
		w.endpoint(t, "a.example.com")
		w.emit(t)
		stop := w.run(t)
		time.Sleep(time.Minute)
		stop()
		require.Empty(t, net.requests())
	})
}

// noPauses is a store whose pauses cannot be read.
type noPauses struct{ *memory.Store }

func (*noPauses) Pauses(context.Context) ([]alotwebhook.Pause, error) {
	return nil, errors.New("not now")
}

func TestPauseBadInput(t *testing.T) {
	t.Parallel()
	w := twoOrganizations(t, alotwebhook.Config{})
	_, err := w.Pause(t.Context(), alotwebhook.Pause{EndpointID: "wh_none"})
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	a := w.at(t, "a.example.com")
	for field, p := range map[string]alotwebhook.Pause{
		"note":           {Note: strings.Repeat("x", 257)},
		"organizationId": {OrganizationID: "org_2", EndpointID: a.ID},
	} {
		_, err := w.Pause(t.Context(), p)
		var refused *alotwebhook.FieldError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, field, refused.Field)
	}
	require.ErrorIs(t, w.Resume(t.Context(), alotwebhook.Pause{Note: "a\x00"}), alotwebhook.ErrInvalid)

	plain := newWorldOn(t, struct{ alotwebhook.Store }{memory.New()}, alotwebhook.Config{}, w.net)
	_, err = plain.Pause(t.Context(), alotwebhook.Pause{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorIs(t, plain.Resume(t.Context(), alotwebhook.Pause{}), errors.ErrUnsupported)
	list, err := plain.Pauses(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	_, err = plain.Surveyor()
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

// The pause of an endpoint outlives it, and can be ended.
func TestResumeOfADeletedEndpoint(t *testing.T) {
	t.Parallel()
	w := twoOrganizations(t, alotwebhook.Config{})
	e := w.at(t, "a.example.com")
	_, err := w.Pause(t.Context(), alotwebhook.Pause{EndpointID: e.ID})
	require.NoError(t, err)
	require.NoError(t, w.DeleteEndpoint(t.Context(), e.ID))
	require.NoError(t, w.Resume(t.Context(), alotwebhook.Pause{EndpointID: e.ID}))
	list, err := w.Pauses(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
}

// many is a world with three failed deliveries of each endpoint, one a minute since w.begun.
type many struct {
	*world
	begun  time.Time
	events []alotwebhook.Event
}

func newMany(t testing.TB, cfg alotwebhook.Config) *many {
	t.Helper()
	w := twoOrganizations(t, alotwebhook.Config{Retry: alotwebhook.Schedule()})
	w.net.respond = func(r *http.Request, _ int) (*http.Response, error) {
		if r.URL.Host == "b.example.com" {
			return hang(r)
		}
		return status(http.StatusInternalServerError), nil
	}
	m := &many{world: w, begun: time.Now()}
	stop := w.run(t)
	for range 3 {
		m.events = append(m.events, w.emitTo(t, "org_1"), w.emitTo(t, "org_2"))
		time.Sleep(time.Minute)
	}
	stop()
	net := &receivers{}
	m.world = newWorldOn(t, w.store, cfg, net)
	return m
}

func TestRecoverMany(t *testing.T) {
	t.Parallel()
	type of = alotwebhook.Recovery
	for name, c := range map[string]struct {
		selection func(m *many) of
		sent      map[string]int
	}{
		"since it failed": {func(m *many) of { return of{FailedSince: m.begun.Add(time.Minute)} }, map[string]int{"a.example.com": 2, "b.example.com": 2, "c.example.com": 2}},
		"until it failed": {func(m *many) of { return of{FailedSince: m.begun, FailedUntil: m.begun.Add(time.Minute)} }, map[string]int{"a.example.com": 1, "b.example.com": 1, "c.example.com": 1}},
		"organization":    {func(m *many) of { return of{OrganizationID: "org_2"} }, map[string]int{"c.example.com": 3}},
		"event":           {func(m *many) of { return of{EventID: m.events[0].ID} }, map[string]int{"a.example.com": 1, "b.example.com": 1}},
		"type":            {func(m *many) of { return of{EventType: "candidate.invited"} }, map[string]int{}},
		"reason":          {func(m *many) of { return of{Since: m.begun, Reason: alotwebhook.ReasonTimeout} }, map[string]int{"b.example.com": 3}},
		"events until":    {func(m *many) of { return of{Since: m.begun, Until: m.begun.Add(time.Minute)} }, map[string]int{"a.example.com": 1, "b.example.com": 1, "c.example.com": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMany(t, alotwebhook.Config{})
				defer m.run(t)()
				r := c.selection(m)
				r.Note = "our fault"
				total := 0
				for _, n := range c.sent {
					total += n
				}
				count, err := m.CountMany(t.Context(), r)
				require.NoError(t, err)
				require.EqualValues(t, total, count.Deliveries)
				require.EqualValues(t, len(c.sent), count.Endpoints)

				begun, err := m.RecoverMany(alotwebhook.WithActor(t.Context(), "operator"), r)
				require.NoError(t, err)
				require.Equal(t, "operator", begun.Actor)
				time.Sleep(time.Minute)
				require.Equal(t, c.sent, m.hosts())
				done, err := m.Recovery(t.Context(), begun.EndpointID)
				require.NoError(t, err)
				require.Equal(t, alotwebhook.RecoveryDone, done.State)
				require.EqualValues(t, total, done.Recovered)
				list, _, err := m.Recoveries(t.Context(), alotwebhook.RecoveryFilter{Many: true})
				require.NoError(t, err)
				require.Equal(t, []alotwebhook.Recovery{done}, list)
				require.Contains(t, m.operations(t, alotwebhook.OperationFilter{EndpointID: begun.EndpointID})[0], "; our fault")
			})
		})
	}
}

// An endpoint's own recovery can be as narrow.
func TestRecoverManyOfOneEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMany(t, alotwebhook.Config{})
		e := m.at(t, "a.example.com")
		_, err := m.RecoverMany(t.Context(), alotwebhook.Recovery{EndpointID: e.ID, FailedSince: m.begun.Add(time.Minute)})
		require.NoError(t, err)
		_, err = m.RecoverMany(t.Context(), alotwebhook.Recovery{EndpointID: e.ID})
		require.ErrorIs(t, err, alotwebhook.ErrRecovering)
		defer m.run(t)()
		time.Sleep(time.Minute)
		require.Equal(t, map[string]int{"a.example.com": 2}, m.hosts())
	})
}

// What is canceled is not sent, whether it waits or is parked, until somebody sends it again.
func TestCancelMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := twoOrganizations(t, alotwebhook.Config{})
		a := w.at(t, "a.example.com")
		a.Disabled = true
		_, err := w.UpdateEndpoint(t.Context(), a)
		require.NoError(t, err)
		for range 1500 {
			w.emitTo(t, "org_1")
		}
		kept := w.emitTo(t, "org_2")
		selection := alotwebhook.Recovery{EventType: "candidate.completed", OrganizationID: "org_1", State: alotwebhook.RecoveryCanceling}
		count, err := w.CountMany(t.Context(), selection)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.Count{Deliveries: 3000, Endpoints: 2, Organizations: 1}, count)
		_, err = w.Pause(t.Context(), alotwebhook.Pause{}) // so that nothing is sent before
		require.NoError(t, err)
		defer w.run(t)()
		begun, err := w.CancelMany(t.Context(), selection)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		done, err := w.Recovery(t.Context(), begun.EndpointID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoveryCanceled, done.State)
		require.EqualValues(t, 3000, done.Skipped)
		require.NoError(t, w.Resume(t.Context(), alotwebhook.Pause{}))
		_, err = w.EnableEndpoint(t.Context(), a.ID, alotwebhook.EnableOptions{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, map[string]int{"c.example.com": 1}, w.hosts())
		require.Equal(t, alotwebhook.StateDelivered, w.delivery(t, kept, w.at(t, "c.example.com")).State)

		all := alotwebhook.Recovery{OrganizationID: "org_1", FailedSince: time.Now().Add(-time.Hour)}
		count, err = w.CountMany(t.Context(), all)
		require.NoError(t, err)
		require.Zero(t, count.Deliveries, "nobody wants them to be sent")
		_, err = w.RecoverMany(t.Context(), all)
		require.NoError(t, err)
		_, err = w.Recover(t.Context(), w.at(t, "b.example.com").ID, time.Time{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, map[string]int{"c.example.com": 1}, w.hosts())

		_, err = w.RecoverMany(t.Context(), alotwebhook.Recovery{OrganizationID: "org_1", Reason: alotwebhook.ReasonCanceled})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, 1500, w.hosts()["b.example.com"])
	})
}

// What its customer has discarded is sent again by nobody who means the failures of an outage.
func TestRecoverManyLeavesOutWhatWasDiscarded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := twoOrganizations(t, alotwebhook.Config{})
		a := w.at(t, "a.example.com")
		a.Disabled = true
		_, err := w.UpdateEndpoint(t.Context(), a)
		require.NoError(t, err)
		w.emitTo(t, "org_1")
		time.Sleep(time.Second)
		_, err = w.EnableEndpoint(t.Context(), a.ID, alotwebhook.EnableOptions{Discard: true})
		require.NoError(t, err)
		defer w.run(t)()
		for _, r := range []alotwebhook.Recovery{{FailedSince: time.Now().Add(-time.Hour)}, {OrganizationID: "org_1"}, {EndpointID: a.ID}} {
			_, err = w.RecoverMany(t.Context(), r)
			require.NoError(t, err)
			time.Sleep(time.Minute)
			require.Zero(t, w.hosts()["a.example.com"])
		}
		_, err = w.Recover(t.Context(), a.ID, time.Time{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, 1, w.hosts()["a.example.com"], "but by whoever recovers all of the endpoint")
	})
}

// Customers hear that the host has paused something of theirs. Who of the host's people did, and why,
// only the host hears.
func TestCustomersDoNotHearWhatOperatorsSay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{HostOrganization: "host", CustomerOperations: true}, &receivers{})
		types := []string{string(alotwebhook.OpPaused), string(alotwebhook.OpRecoveryBegun)}
		for organization, host := range map[string]string{"org_1": "a.example.com", "host": "host.example.com"} {
			_, err := w.CreateEndpoint(t.Context(), alotwebhook.Endpoint{OrganizationID: organization, URL: "https://" + host + "/hook", EventTypes: types})
			require.NoError(t, err)
		}
		w.endpointOf(t, "org_1", "b.example.com")
		defer w.run(t)()
		jane := alotwebhook.WithActor(t.Context(), "jane")
		_, err := w.Pause(jane, alotwebhook.Pause{EndpointID: w.at(t, "b.example.com").ID, Note: "their fault"})
		require.NoError(t, err)
		for _, r := range []alotwebhook.Recovery{{OrganizationID: "org_1", Note: "our fault"}, {EndpointID: w.at(t, "b.example.com").ID, Note: "our fault"}} {
			_, err = w.RecoverMany(jane, r)
			require.NoError(t, err)
		}
		time.Sleep(time.Minute)
		require.Equal(t, map[string]int{"a.example.com": 3, "host.example.com": 3}, w.hosts())
		for _, r := range w.net.requests() {
			said := strings.Contains(r.body, "jane") && strings.Contains(r.body, "fault")
			require.Equal(t, r.host == "host.example.com", said, r.body)
			require.Equal(t, r.host == "host.example.com", said || strings.Contains(r.body, "rec_"), r.body)
		}
	})
}

func TestManyBadInput(t *testing.T) {
	t.Parallel()
	w := twoOrganizations(t, alotwebhook.Config{})
	now := time.Now()
	type of = alotwebhook.Recovery
	for _, c := range []struct {
		field string
		r     of
	}{
		{"failedSince", of{}},
		{"since", of{Since: now.Add(time.Hour)}},
		{"failedSince", of{FailedSince: now.Add(time.Hour)}},
		{"until", of{Since: now.Add(-time.Hour), Until: now.Add(-time.Hour)}},
		{"failedUntil", of{FailedSince: now.Add(-time.Hour), FailedUntil: now.Add(-2 * time.Hour)}},
		{"organizationId", of{OrganizationID: "a\x00"}},
		{"eventId", of{EventID: "dlv_01kt0v7fbgf0m8n2p4q6r7s9tv"}},
		{"note", of{OrganizationID: "org_1", Note: strings.Repeat("x", 257)}},
	} {
		_, err := w.RecoverMany(t.Context(), c.r)
		requireField(t, err, c.field)
	}
	for field, r := range map[string]of{"organizationId": {Since: now.Add(-time.Hour)}, "failedSince": {OrganizationID: "org_1", FailedSince: now.Add(-time.Hour)}} {
		_, err := w.CancelMany(t.Context(), r)
		requireField(t, err, field)
	}
	_, err := w.RecoverMany(t.Context(), of{EndpointID: "wh_none"})
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
}

// To resume an endpoint that is another organization's is refused, as it is to pause it.
func TestResumeOfAnotherOrganization(t *testing.T) {
	t.Parallel()
	w := twoOrganizations(t, alotwebhook.Config{})
	e := w.at(t, "a.example.com")
	_, err := w.Pause(t.Context(), alotwebhook.Pause{EndpointID: e.ID})
	require.NoError(t, err)
	other := alotwebhook.Pause{OrganizationID: "org_other", EndpointID: e.ID}
	var field *alotwebhook.FieldError
	require.ErrorAs(t, w.Resume(t.Context(), other), &field)
	require.Equal(t, "organizationId", field.Field)
	_, err = w.Pause(t.Context(), other)
	require.Equal(t, error(field), err)
	list, err := w.Pauses(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NoError(t, w.Resume(t.Context(), alotwebhook.Pause{OrganizationID: e.OrganizationID, EndpointID: e.ID}))
}
