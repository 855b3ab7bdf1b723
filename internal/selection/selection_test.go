package selection_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/selection"
)

var now = time.Date(2026, 5, 25, 14, 23, 0, 678_901_234, time.UTC)

func TestProblem(t *testing.T) {
	t.Parallel()
	type of = selection.Selection
	const event = "evt_01kt0v7fbgf0m8n2p4q6r7s9tv"
	hour := now.Add(-time.Hour)
	for _, c := range []struct {
		s       of
		purpose selection.Purpose
		field   string // "" if it can be meant
	}{
		{of{FailedSince: hour}, selection.Recover, ""},
		{of{Since: hour}, selection.Recover, ""},
		{of{OrganizationID: "org", FailedUntil: hour}, selection.Recover, ""},
		{of{}, selection.Recover, "failedSince"},
		{of{FailedUntil: hour}, selection.Recover, "failedSince"},
		{of{Reason: "timeout"}, selection.Recover, "failedSince"},
		{of{EventID: event, Note: "why"}, selection.Recover, ""},
		{of{EventID: "evt_x"}, selection.Recover, "eventId"},
		{of{Since: now.Add(1)}, selection.Recover, "since"},
		{of{FailedSince: now.Add(1)}, selection.Recover, "failedSince"},
		{of{Since: hour, Until: hour}, selection.Recover, "until"},
		{of{FailedSince: hour, FailedUntil: hour}, selection.Recover, "failedUntil"},
		{of{EventType: "a", Note: strings.Repeat("x", 257)}, selection.Recover, "note"},
		{of{EventType: "a", Subject: "cand"}, selection.Recover, "subject"},

		{of{OrganizationID: "org", EventType: "a\x00"}, selection.Recover, "eventType"},
		{of{OrganizationID: "org", Reason: "\xff"}, selection.Recover, "reason"},
		{of{EndpointID: "\x00"}, selection.Cancel, "endpointId"},
		{of{OrganizationID: "org", Since: time.Date(-4800, 1, 1, 0, 0, 0, 0, time.UTC)}, selection.Erase, "since"},
		{of{OrganizationID: "org", FailedUntil: time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC)}, selection.Recover, "failedUntil"},

		{of{EndpointID: "wh"}, selection.Cancel, ""},
		{of{EndpointID: "wh", Reason: "status", Since: hour, Until: now}, selection.Cancel, ""},
		{of{EndpointID: "wh", FailedSince: hour}, selection.Cancel, "failedSince"},
		{of{EndpointID: "wh", FailedUntil: hour}, selection.Cancel, "failedSince"},
		{of{Since: hour}, selection.Cancel, "organizationId"},
		{of{EndpointID: "wh", Subject: "cand"}, selection.Cancel, "subject"},

		{of{Subject: "cand"}, selection.Erase, ""},
		{of{Subject: strings.Repeat("é", 64)}, selection.Erase, ""},
		{of{OrganizationID: "org", Since: hour, Until: now, Note: "why"}, selection.Erase, ""},
		{of{EventID: event}, selection.Erase, ""},
		{of{Since: hour, Until: now}, selection.Erase, "subject"},
		{of{Subject: strings.Repeat("é", 65)}, selection.Erase, "subject"},
		{of{Subject: "a\n"}, selection.Erase, "subject"},
		{of{Subject: "cand", EndpointID: "wh"}, selection.Erase, "endpointId"},
		{of{Subject: "cand", EventType: "a"}, selection.Erase, "eventType"},
		{of{Subject: "cand", Reason: "timeout"}, selection.Erase, "reason"},
		{of{Subject: "cand", FailedSince: hour}, selection.Erase, "failedSince"},
		{of{Subject: "cand", FailedUntil: hour}, selection.Erase, "failedUntil"},
		{of{Subject: "cand", Since: now.Add(1)}, selection.Erase, "since"},
		{of{Subject: "cand", Since: now, Until: now}, selection.Erase, "until"},
		{of{Subject: "cand", EventID: "dlv_01kt0v7fbgf0m8n2p4q6r7s9tv"}, selection.Erase, "eventId"},
		{of{Subject: "cand", Note: "\xff"}, selection.Erase, "note"},
	} {
		field, problem := c.s.Problem(c.purpose, now)
		if c.field == "" {
			require.Empty(t, problem, "%+v", c.s)
			continue
		}
		require.Equal(t, c.field, field, "%+v: %s", c.s, problem)
		require.NotEmpty(t, problem)
		if c.s.Subject != "" {
			require.NotContains(t, problem, c.s.Subject)
		}
	}
}

func TestBound(t *testing.T) {
	t.Parallel()
	const kept = 90 * 24 * time.Hour
	next := now.Truncate(time.Millisecond).Add(time.Millisecond)
	tokyo := time.FixedZone("", 9*60*60)
	hour := now.Add(-time.Hour)
	for _, c := range []struct {
		s                    selection.Selection
		since, until, oldest time.Time
	}{
		{selection.Selection{}, time.Time{}, next, now.Add(-kept)},
		{selection.Selection{Since: time.Time{}.In(tokyo)}, time.Time{}, next, now.Add(-kept)},
		{selection.Selection{Since: hour.In(tokyo)}, hour.Truncate(time.Millisecond), next, hour.Truncate(time.Millisecond)},
		{selection.Selection{Until: hour.In(tokyo)}, time.Time{}, hour.Truncate(time.Millisecond), now.Add(-kept)},
		{selection.Selection{Until: now.Add(time.Hour)}, time.Time{}, next, now.Add(-kept)},
		{selection.Selection{Until: now, FailedUntil: hour}, time.Time{}, hour.Truncate(time.Millisecond), now.Add(-kept)},
		{
			selection.Selection{FailedSince: hour},
			hour.Add(-8 * 24 * time.Hour).Truncate(time.Millisecond), next, hour.Add(-8 * 24 * time.Hour).Truncate(time.Millisecond),
		},
	} {
		s := c.s
		oldest := s.Bound(now, kept)
		require.Equal(t, []time.Time{c.since, c.until, c.oldest}, []time.Time{s.Since, s.Until, oldest}, "%+v", c.s)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	const at = "01kt0v7fbgf0m8n2p4q6r7s9tv" // the time of the id
	begun := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	half := selection.Progress("dlv_"+at, begun.AddDate(1, 0, 0), begun.AddDate(-1, 0, 0))
	require.Greater(t, half, 0.0)
	require.Less(t, half, 1.0)
	require.Equal(t, half, selection.Progress("evt_"+at, begun.AddDate(1, 0, 0), begun.AddDate(-1, 0, 0)))
	for _, cursor := range []string{"", "wh_" + at, "rec_" + at, "evt_"} {
		require.Zero(t, selection.Progress(cursor, begun.AddDate(1, 0, 0), begun.AddDate(-1, 0, 0)), cursor)
	}
	require.Zero(t, selection.Progress("dlv_"+at, begun, begun))
	require.Zero(t, selection.Progress("dlv_"+at, begun.AddDate(-2, 0, 0), begun.AddDate(-3, 0, 0)), "it has not begun")
	require.EqualValues(t, 1, selection.Progress("dlv_"+at, begun.AddDate(3, 0, 0), begun.AddDate(2, 0, 0)))
}

func TestEarlier(t *testing.T) {
	t.Parallel()
	a, b := time.Unix(1, 0), time.Unix(2, 0)
	require.Equal(t, a, selection.Earlier(a, b))
	require.Equal(t, a, selection.Earlier(b, a))
	require.Zero(t, selection.Earlier(time.Time{}, a), "no bound is the earliest")
}

func TestShare(t *testing.T) {
	t.Parallel()
	hour := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	for _, c := range []struct {
		from, at, to time.Time
		want         float64
	}{
		{hour(0), hour(1), hour(4), 0.25},
		{hour(0), hour(0), hour(4), 0},
		{hour(0), hour(-1), hour(4), 0},
		{hour(0), hour(5), hour(4), 1},
		{hour(4), hour(5), hour(4), 0},
		{time.Time{}, hour(1), hour(4), 0},
	} {
		require.InDelta(t, c.want, selection.Share(c.from, c.at, c.to), 1e-9, "%v", c)
	}
}

func TestTakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason, last string
		discarded    bool
		want         bool
	}{
		{"", "timeout", false, true},
		{"", "canceled", true, false},
		{"", "discarded", false, false},
		{"", "discarded", true, true},
		{"canceled", "canceled", false, true},
		{"timeout", "status", false, false},
		{"", "", false, true},
	} {
		require.Equal(t, c.want, selection.Takes(c.reason, c.last, c.discarded), "%v", c)
	}
}

// The events of the oldest failures may be from a time that no store holds.
func TestBoundStaysWithinWhatStoresHold(t *testing.T) {
	t.Parallel()
	s := selection.Selection{FailedSince: time.Time{}.Add(time.Hour)}
	s.Bound(now, time.Hour)
	require.Zero(t, s.Since)
	field, problem := s.Problem(selection.Recover, now)
	require.Empty(t, problem, field)
}
