package settings_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/typeid"
)

func (s *site) recoveryOf(id string) alotwebhook.Recovery {
	s.t.Helper()
	r, err := s.dispatcher.Recovery(s.t.Context(), id)
	require.NoError(s.t, err)
	return r
}

// counted counts what a form selects, and returns the fields of the button that does that.
func (s *site) counted(path string, form ...string) []string {
	s.t.Helper()
	page := s.ask(http.MethodPost, path, form...)
	require.Equal(s.t, http.StatusOK, page.status, page.text)
	return hidden(s.t, page.text)
}

// begin does what was counted, and returns the id of the recovery that the answer leads to.
func (s *site) begin(path string, fields []string) string {
	s.t.Helper()
	got := s.ask(http.MethodPost, path, fields...)
	require.Equal(s.t, http.StatusSeeOther, got.status, got.text)
	id, _, _ := strings.Cut(strings.TrimPrefix(got.header.Get("Location"), "/recoveries/"), "?")
	return id
}

// Forms that differ in anything begin recoveries of their own, with the same reason and in the same minute.
func TestEachFormOfAnOperatorBeginsItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newOperatorSite(t)
		time.Sleep(100 * time.Hour)
		e := s.endpoint("https://hooks.example.com/alot")
		s.failedOf("org_a", 1, alotwebhook.ReasonDNS)
		time.Sleep(time.Hour)
		at := func(back time.Duration) string { return time.Now().Add(-back).UTC().Format("2006-01-02T15:04:05") }
		until := at(0)
		time.Sleep(time.Second)
		seen := map[string]bool{}
		for _, form := range [][]string{
			{"organization", "org_a", "since", at(2 * time.Hour), "until", until},
			{"organization", "org_a", "since", at(48 * time.Hour), "until", until},
			{"organization", "org_a", "since", at(48 * time.Hour), "until", at(-time.Hour)},
			{"organization", "org_a", "since", at(48 * time.Hour), "until", until, "reason", "dns"},
			{"since", at(48 * time.Hour), "until", until},
			{"endpoint", e.ID, "since", at(48 * time.Hour), "until", until},
		} {
			fields := s.counted("/recover", append(form, "note", "incident 42")...)
			id := s.begin("/recover", fields)
			require.False(t, seen[id], form)
			seen[id] = true
			require.Equal(t, alotwebhook.RecoveryRunning, s.recoveryOf(id).State)
			require.Equal(t, id, s.begin("/recover", fields), "the same form once more")
		}
		require.Len(t, s.recoveries(), 5, "over many endpoints")
	})
}

// A form that is sent again begins nothing, whatever became of what it has begun; a new count does.
func TestAFormOfAnOperatorBeginsOnce(t *testing.T) {
	t.Parallel()
	for path, stop := range map[string]string{"/recover": "/stop", "/cancel": "/stop-canceling"} {
		synctest.Test(t, func(t *testing.T) {
			s := newOperatorSite(t)
			s.endpoint("https://hooks.example.com/alot")
			s.failedOf("org_a", 1, alotwebhook.ReasonDNS)
			s.eventOf("org_a")
			time.Sleep(time.Second)
			// The end of the time is finer than what is stored of it.
			form := []string{"organization", "org_a", "note", "incident 42", "until", time.Now().Add(-time.Microsecond / 2).UTC().Format(time.RFC3339Nano)}
			time.Sleep(time.Second)
			fields := s.counted(path, form...)
			id := s.begin(path, fields)
			require.Equal(t, id, s.begin(path, fields))
			require.Equal(t, http.StatusSeeOther, s.ask(http.MethodPost, "/recoveries/"+id+stop).status)
			again := s.ask(http.MethodPost, path, fields...)
			require.Equal(t, "/recoveries/"+id, again.header.Get("Location"), "it does not say that it has begun")
			require.Len(t, s.recoveries(), 1)
			require.Equal(t, alotwebhook.RecoveryStopped, s.recoveryOf(id).State)
			time.Sleep(time.Millisecond)
			require.NotEqual(t, id, s.begin(path, s.counted(path, form...)))
			require.Len(t, s.recoveries(), 2)
		})
	}
}

func TestAFormSentTwiceAtOnceBeginsOnce(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	s.failedOf("org_a", 1, alotwebhook.ReasonDNS)
	for _, form := range [][]string{{"organization", "org_a", "note", "why"}, {"endpoint", e.ID, "note", "why"}} {
		fields := s.counted("/recover", form...)
		var ids sync.Map
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { ids.Store(s.begin("/recover", fields), true) })
		}
		all.Wait()
		n := 0
		ids.Range(func(any, any) bool { n++; return true })
		require.Equal(t, 1, n)
	}
	require.Len(t, s.recoveries(), 1, "over many endpoints")
	require.Equal(t, alotwebhook.RecoveryRunning, s.recoveryOf(e.ID).State)
}

// done stores a recovery over many endpoints that was begun at that time, and returns its id.
func (s *site) done(created time.Time, name string) string {
	s.t.Helper()
	id := typeid.Derived("rec", "rec", typeid.First("rec", created), name)
	require.NoError(s.t, s.store.PutRecovery(s.t.Context(), alotwebhook.Recovery{
		EndpointID: id, State: alotwebhook.RecoveryDone, Until: created, Oldest: created, CreatedAt: created, UpdatedAt: created, FinishedAt: created,
	}))
	return id
}

// The list has the newest recoveries, however many there are.
func TestTheNewestRecoveriesAreListed(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, at := range map[string]func(i int) time.Duration{
		"evenly":      func(i int) time.Duration { return time.Duration(i) * 10 * time.Minute },
		"all at once": func(int) time.Duration { return 12 * day },
		"in a burst, and some later": func(i int) time.Duration {
			return time.Duration(i)*time.Second + max(0, time.Duration(i-2450)*10*time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newOperatorSite(t)
			for i := range 2500 {
				s.done(time.Now().Add(at(i)-29*day), strconv.Itoa(i))
			}
			newest := s.done(time.Now(), "newest")
			page := s.see("/recoveries")
			require.Equal(t, http.StatusOK, page.status)
			require.Equal(t, 100, strings.Count(page.text, `href="/recoveries/rec_`))
			require.Less(t, strings.Index(page.text, newest), strings.Index(page.text, `</td></tr>`), "it comes first")
			require.Positive(t, strings.Index(page.text, newest))
		})
	}
}

// Blanks are no reason, as they are none in the API.
func TestBlanksAreNoReason(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	s.endpoint("https://hooks.example.com/alot")
	require.Equal(t, http.StatusSeeOther, s.ask(http.MethodPost, "/pause", "scope", "organization", "organization", "org_a", "note", " why\t").status)
	require.Equal(t, "why", s.pauses()[0].Note)
	for path, form := range map[string][]string{
		"/pause":   {"scope", "all"},
		"/resume":  {"organization", "org_a"},
		"/recover": {"organization", "org_a"},
		"/cancel":  {"organization", "org_a"},
		"/erase":   {"organization", "org_a", "sure", "yes"},
		"/remove":  {"organization", "org_a", "again", "org_a"},
	} {
		got := s.ask(http.MethodPost, path, append(form, "note", " \t ")...)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, path)
		require.Contains(t, got.text, "Say why you do it.", path)
	}
	require.Len(t, s.pauses(), 1)
	require.Empty(t, s.recoveries())
}

// What is to be erased is shown in UTC, whatever zone a time was given in. A time that would stand for none is
// refused.
func TestTheTimesOfAnErasure(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	got := s.ask(http.MethodPost, "/erase", "subject", "x", "note", "why", "since", "2026-01-01T01:00:00+02:00", "until", "2026-02-01T00:00")
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.text, ", from <time datetime=\"2025-12-31T23:00:00.000Z\"")
	require.Contains(t, got.text, "31 Dec 2025, 23:00:00 UTC</time>, before <time")
	for _, path := range []string{"/erase", "/recover", "/cancel"} {
		got = s.ask(http.MethodPost, path, "organization", "org_a", "note", "why", "until", "0001-01-01T00:00")
		require.Equal(t, http.StatusUnprocessableEntity, got.status, path)
	}
	require.Equal(t, http.StatusBadRequest, s.see("/deliveries?until=0001-01-01T00:00").status)
}
