package alotwebhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// What tells of a person, and the answer of a receiver that quotes it.
const (
	jane      = "cand_of_jane"
	janesName = "Jane Doe"
	answer    = "no such candidate: Jane Doe"
)

// about returns an event about somebody. Whoever it is about, it is Jane's name.
func about(t testing.TB, organization, subject string) alotwebhook.Event {
	t.Helper()
	event, err := alotwebhook.NewEvent("candidate.completed", organization, json.RawMessage(`{"name":"`+janesName+`"}`))
	require.NoError(t, err)
	event.Subject = subject
	return event
}

// people is a world in which each organization has had three events about Jane and three about Joe, one
// a minute since begun. Those of org_1 wait for another attempt, those of org_2 are delivered. Every
// receiver has said something of them.
type people struct {
	*world
	begun  time.Time
	events []alotwebhook.Event
}

func newPeople(t testing.TB) *people {
	t.Helper()
	cfg := alotwebhook.Config{Retry: alotwebhook.Schedule(time.Hour), KeepResponseBody: 100}
	p := &people{world: twoOrganizations(t, cfg), begun: time.Now()}
	p.net.respond = func(of *http.Request, _ int) (*http.Response, error) {
		r := status(http.StatusNotFound)
		if of.URL.Host == "c.example.com" {
			r = status(http.StatusOK)
		}
		r.Body = io.NopCloser(strings.NewReader(answer))
		return r, nil
	}
	p.world = newWorldOn(t, p.store, cfg, p.net)
	stop := p.run(t)
	for range 3 {
		for _, organization := range []string{"org_1", "org_2"} {
			for _, subject := range []string{jane, "cand_of_joe"} {
				event := about(t, organization, subject)
				require.NoError(t, p.Emit(t.Context(), event))
				p.events = append(p.events, event)
			}
		}
		time.Sleep(time.Minute)
	}
	stop()
	p.world = newWorldOn(t, p.store, cfg, p.net)
	return p
}

// everything returns all that can be read of the events, as text.
func (p *people) everything(t testing.TB, of func(alotwebhook.Event) bool) string {
	t.Helper()
	var all strings.Builder
	for _, event := range p.events {
		if !of(event) {
			continue
		}
		if stored, err := p.Event(t.Context(), event.ID); err == nil {
			fmt.Fprintf(&all, "%s %s\n", stored.Payload(), stored.Subject)
		}
		for d, err := range p.Deliveries(t.Context(), alotwebhook.Filter{EventID: event.ID}) {
			require.NoError(t, err)
			full, err := p.Delivery(t.Context(), d.ID)
			require.NoError(t, err)
			fmt.Fprintf(&all, "%+v\n", full)
		}
	}
	return all.String()
}

// ended waits for the end of a recovery over many.
func (w *world) ended(t testing.TB, begun alotwebhook.Recovery) alotwebhook.Recovery {
	t.Helper()
	for range 100 {
		r, err := w.Recovery(t.Context(), begun.EndpointID)
		require.NoError(t, err)
		if !r.State.Active() {
			return r
		}
		time.Sleep(time.Minute)
	}
	require.Fail(t, "it has no end")
	return alotwebhook.Recovery{}
}

// erasing selects something, and says which events that is; minute is when they were emitted.
type erasing struct {
	selection func(p *people) alotwebhook.Recovery
	gone      func(p *people, e alotwebhook.Event, minute int) bool
}

func TestErase(t *testing.T) {
	t.Parallel()
	type of = alotwebhook.Recovery
	for name, c := range map[string]erasing{
		"event": {
			func(p *people) of { return of{EventID: p.events[4].ID} },
			func(p *people, e alotwebhook.Event, _ int) bool { return e.ID == p.events[4].ID },
		},
		"subject": {
			func(*people) of { return of{Subject: jane} },
			func(_ *people, e alotwebhook.Event, _ int) bool { return e.Subject == jane },
		},
		"organization": {
			func(*people) of { return of{OrganizationID: "org_1"} },
			func(_ *people, e alotwebhook.Event, _ int) bool { return e.OrganizationID == "org_1" },
		},
		"subject of an organization": {
			func(*people) of { return of{OrganizationID: "org_2", Subject: jane} },
			func(_ *people, e alotwebhook.Event, _ int) bool {
				return e.OrganizationID == "org_2" && e.Subject == jane
			},
		},
		"time": {
			func(p *people) of {
				return of{OrganizationID: "org_1", Since: p.begun.Add(time.Minute), Until: p.begun.Add(2 * time.Minute)}
			},
			func(_ *people, e alotwebhook.Event, minute int) bool {
				return e.OrganizationID == "org_1" && minute == 1
			},
		},
		"nothing": {
			func(*people) of { return of{Subject: "cand_of_nobody"} },
			func(*people, alotwebhook.Event, int) bool { return false },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { c.erase(t, newPeople(t)) })
		})
	}
}

// erase erases what is selected, and requires that it is gone, and nothing else.
func (c erasing) erase(t *testing.T, p *people) {
	t.Helper()
	var gone []alotwebhook.Event
	for i, e := range p.events {
		if c.gone(p, e, i/4) {
			gone = append(gone, e)
		}
	}
	isGone := func(e alotwebhook.Event) bool {
		return slices.ContainsFunc(gone, func(g alotwebhook.Event) bool { return g.ID == e.ID })
	}
	isKept := func(e alotwebhook.Event) bool { return !isGone(e) }
	before := p.everything(t, isKept)
	require.NotEmpty(t, before)

	r := c.selection(p)
	r.Note = "they asked for it"
	begun, err := p.Erase(alotwebhook.WithActor(t.Context(), "operator"), r)
	require.NoError(t, err)
	require.Equal(t, alotwebhook.RecoveryErasing, begun.State)
	require.Equal(t, "operator", begun.Actor)
	require.True(t, strings.HasPrefix(begun.EndpointID, "rec_"))
	defer p.run(t)()
	done := p.ended(t, begun)
	require.Equal(t, alotwebhook.RecoveryErased, done.State)
	require.EqualValues(t, len(gone), done.Skipped)
	require.Empty(t, done.Subject, "whose data it was is personal data, too")
	require.EqualValues(t, 1, done.Progress())

	p.requireErased(t, gone, p.everything(t, isGone))
	require.Equal(t, before, p.everything(t, isKept))
	told := p.operations(t, alotwebhook.OperationFilter{EndpointID: begun.EndpointID})
	require.Len(t, told, 2)
	require.Contains(t, told[0], "recovery.begun [operator] erasing: events until ")
	require.Contains(t, told[0], "; they asked for it")
	require.Equal(t, fmt.Sprintf("recovery.ended [] erased: %d events", len(gone)), told[1])
	require.NotContains(t, strings.Join(told, " "), "cand_of")

	requests := len(p.net.requests())
	time.Sleep(3 * time.Hour)
	for _, r := range p.net.requests()[requests:] {
		require.False(t, slices.ContainsFunc(gone, func(e alotwebhook.Event) bool { return strings.Contains(r.body, e.ID) }), r.body)
	}
}

// requireErased requires that what can be read of events, left, says nothing of anybody.
func (p *people) requireErased(t *testing.T, events []alotwebhook.Event, left string) {
	t.Helper()
	for _, words := range []string{janesName, answer, jane, "cand_of_joe"} {
		require.NotContains(t, left, words)
	}
	require.Equal(t, strings.Count(left, "State:failed"), strings.Count(left, "LastReason:erased"), "what was to be sent again is not")
	for _, e := range events {
		_, err := p.Event(t.Context(), e.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	}
}

// erasures is a store that takes ten seconds for each page of ten events or deliveries.
type erasures struct {
	alotwebhook.Store
	pages atomic.Int64
}

func (s *erasures) Unwrap() alotwebhook.Store { return s.Store }

func (s *erasures) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (int, string, error) {
	if err := s.next(ctx); err != nil {
		return 0, "", err
	}
	return s.Store.Erase(ctx, r, min(limit, 10))
}

func (s *erasures) Remove(ctx context.Context, organizationID string, limit int) (int, error) {
	if err := s.next(ctx); err != nil {
		return 0, err
	}
	_, err := s.Store.Remove(ctx, organizationID, 10)
	if page, _, _ := s.Deliveries(ctx, alotwebhook.Filter{OrganizationID: organizationID}); err == nil && len(page) > 0 {
		return limit, nil
	}
	return 0, err
}

func (s *erasures) next(ctx context.Context) error {
	s.pages.Add(1)
	select {
	case <-time.After(10 * time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// If a process ends half way, the next one goes on where it was.
func TestErasingSurvivesRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &erasures{Store: memory.New()}
		w := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
		w.endpoint(t, "a.example.com")
		var events []alotwebhook.Event
		for range 50 {
			events = append(events, about(t, "org_1", jane))
			time.Sleep(time.Second)
		}
		require.NoError(t, w.Emit(t.Context(), events...))
		stop := w.run(t)
		begun, err := w.Erase(t.Context(), alotwebhook.Recovery{OrganizationID: "org_1", Since: time.Now().Add(-time.Hour)})
		require.NoError(t, err)
		time.Sleep(25 * time.Second)
		stop()
		half, err := w.Recovery(t.Context(), begun.EndpointID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoveryErasing, half.State)
		require.EqualValues(t, 20, half.Skipped)
		require.Equal(t, events[30].ID, half.Cursor)
		require.Greater(t, half.Progress(), 0.0)
		require.Less(t, half.Progress(), 0.1, "of an hour, the last twenty seconds are done")
		_, err = w.Event(t.Context(), events[0].ID)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		pages := store.pages.Load()

		w = newWorldOn(t, store, alotwebhook.Config{}, w.net)
		defer w.run(t)()
		done := w.ended(t, begun)
		require.Equal(t, alotwebhook.RecoveryErased, done.State)
		require.EqualValues(t, 50, done.Skipped)
		require.LessOrEqual(t, store.pages.Load()-pages, int64(4), "of five pages, at most one comes again")
		for _, e := range events {
			_, err = w.Event(t.Context(), e.ID)
			require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		}
	})
}

// Somebody who asked by mistake can stop it. What is erased stays so, and whose data it was is forgotten.
func TestStopErasing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &erasures{Store: memory.New()}
		w := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
		var events []alotwebhook.Event
		for range 30 {
			events = append(events, about(t, "org_1", jane))
		}
		require.NoError(t, w.Emit(t.Context(), events...))
		defer w.run(t)()
		begun, err := w.Erase(t.Context(), alotwebhook.Recovery{Subject: jane})
		require.NoError(t, err)
		require.Equal(t, jane, begun.Subject)
		time.Sleep(15 * time.Second)
		stopped, err := w.StopRecovery(t.Context(), begun.EndpointID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoveryStopped, stopped.State)
		require.Empty(t, stopped.Subject)
		time.Sleep(time.Hour)
		stored, err := w.Recovery(t.Context(), begun.EndpointID)
		require.NoError(t, err)
		require.Equal(t, stopped, stored)
		found := 0
		for _, e := range events {
			if _, err := w.Event(t.Context(), e.ID); err == nil {
				found++
			}
		}
		require.Contains(t, []int{10, 20}, found, "the page under way may still be erased")
	})
}

// No receiver learns whom the host means by a key of its own.
func TestSubjectIsNeverSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := alotwebhook.Config{StandardWebhooks: true, SendTraceParent: true}
		w := newWorld(t, cfg, &receivers{})
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		event := about(t, "org_1", jane)
		plain := event
		plain.Subject = ""
		require.Equal(t, string(plain.Payload()), string(event.Payload()))
		require.NoError(t, w.Emit(t.Context(), event))
		time.Sleep(time.Second)
		requests := w.net.requests()
		require.Len(t, requests, 1)
		require.Equal(t, string(plain.Payload()), requests[0].body)
		require.NotContains(t, fmt.Sprint(requests[0].head), jane)
		parsed, err := alotwebhook.ParseEvent([]byte(requests[0].body))
		require.NoError(t, err)
		require.Empty(t, parsed.Subject)

		stored, err := w.Event(t.Context(), event.ID)
		require.NoError(t, err)
		require.Equal(t, jane, stored.Subject)
		page, _, err := w.DeliveryPage(t.Context(), alotwebhook.Filter{Subject: jane})
		require.NoError(t, err)
		require.Len(t, page, 1)
		require.Equal(t, alotwebhook.DeliveryID(event.ID, e.ID), page[0].ID)
	})
}

func TestSubjectBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	for _, subject := range []string{strings.Repeat("x", 129), "a\x00", "a\nb", "\xff"} {
		requireField(t, w.Emit(t.Context(), about(t, "org_1", subject)), "subject")
		_, err := w.Erase(t.Context(), alotwebhook.Recovery{Subject: subject})
		requireField(t, err, "subject")
		require.NotContains(t, err.Error(), subject)
		_, err = w.EraseIn(t.Context(), &erasingTransaction{}, "", subject)
		requireField(t, err, "subject")
	}
	for _, subject := range []string{"", "é", strings.Repeat("x", 128)} {
		require.NoError(t, w.Emit(t.Context(), about(t, "org_1", subject)))
	}
}

func TestEraseBadInput(t *testing.T) {
	t.Parallel()
	w := twoOrganizations(t, alotwebhook.Config{})
	now := time.Now()
	type of = alotwebhook.Recovery
	for _, c := range []struct {
		field string
		r     of
	}{
		{"subject", of{}},
		{"subject", of{Since: now.Add(-time.Hour), Until: now}},
		{"subject", of{Note: "all of it"}},
		{"endpointId", of{EndpointID: w.at(t, "a.example.com").ID}},
		{"endpointId", of{EndpointID: w.at(t, "a.example.com").ID, Subject: jane}},
		{"eventType", of{EventType: "candidate.completed", OrganizationID: "org_1"}},
		{"reason", of{Reason: alotwebhook.ReasonTimeout, Subject: jane}},
		{"failedSince", of{FailedSince: now.Add(-time.Hour), Subject: jane}},
		{"failedUntil", of{FailedUntil: now.Add(-time.Hour), Subject: jane}},
		{"since", of{Since: now.Add(time.Hour), Subject: jane}},
		{"until", of{Since: now.Add(-time.Hour), Until: now.Add(-2 * time.Hour), Subject: jane}},
		{"organizationId", of{OrganizationID: "a\x00"}},
		{"organizationId", of{OrganizationID: strings.Repeat("x", 256), Subject: jane}},
		{"eventId", of{EventID: "dlv_01kt0v7fbgf0m8n2p4q6r7s9tv"}},
		{"note", of{Subject: jane, Note: strings.Repeat("x", 257)}},
	} {
		_, err := w.Erase(t.Context(), c.r)
		requireField(t, err, c.field)
	}
	for _, call := range []func(context.Context, of) (of, error){w.RecoverMany, w.CancelMany} {
		_, err := call(t.Context(), of{OrganizationID: "org_1", Subject: jane})
		requireField(t, err, "subject")
	}
	for _, state := range []alotwebhook.RecoveryState{alotwebhook.RecoveryErasing, alotwebhook.RecoveryRemoving, alotwebhook.RecoveryCanceling, ""} {
		_, err := w.CountMany(t.Context(), of{Subject: jane, OrganizationID: "org_1", State: state})
		requireField(t, err, "subject")
	}
	list, _, err := w.Recoveries(t.Context(), alotwebhook.RecoveryFilter{})
	require.NoError(t, err)
	require.Empty(t, list)
}
