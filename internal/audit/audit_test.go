package audit_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/audit"
	"github.com/alot/alotwebhook/internal/credential"
	"github.com/alot/alotwebhook/internal/typeid"
)

func TestActor(t *testing.T) {
	t.Parallel()
	require.Empty(t, audit.Actor(t.Context()))
	for given, kept := range map[string]string{
		"jane@example.com":             "jane@example.com",
		"":                             "",
		"Jane\n\x00\x7f":               "Jane\uFFFD\uFFFD\uFFFD",
		"\xff":                         "\uFFFD",
		strings.Repeat("x", 200):       strings.Repeat("x", 128),
		strings.Repeat("x", 127) + "é": strings.Repeat("x", 127),
		strings.Repeat("x", 126) + "é": strings.Repeat("x", 126) + "é",
	} {
		require.Equal(t, kept, audit.Actor(audit.WithActor(t.Context(), given)))
	}
	require.Equal(t, "b", audit.Actor(audit.WithActor(audit.WithActor(t.Context(), "a"), "b")))
}

func TestChanges(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 25, 16, 23, 0, 9, time.FixedZone("", 7200))
	was := audit.Endpoint{URL: "https://example.com", Events: []string{"a"}, Description: "d", Rate: 1, FailingSince: at}
	for want, change := range map[string]func(*audit.Endpoint){
		"":                                             func(*audit.Endpoint) {},
		"endpoint.changed url":                         func(e *audit.Endpoint) { e.URL = "https://example.org/secret?x" },
		"endpoint.changed events":                      func(e *audit.Endpoint) { e.Events = []string{"a", "b"} },
		"endpoint.changed url, rate":                   func(e *audit.Endpoint) { e.URL, e.Rate = "", 2 },
		"endpoint.changed description, ordered":        func(e *audit.Endpoint) { e.Description, e.Ordered = "", true },
		"endpoint.changed headers (X-A, X-B)":          func(e *audit.Endpoint) { e.Credentials.Headers = []string{"X-A", "X-B"} },
		"endpoint.changed headers (none)":              func(e *audit.Endpoint) { e.Credentials.Changes++ },
		"endpoint.changed clientCertificate":           func(e *audit.Endpoint) { e.Credentials.Certificate = &credential.Certificate{Subject: "CN=x"} },
		"endpoint.disabled gone":                       func(e *audit.Endpoint) { e.Disabled = "gone" },
		"endpoint.failing since 2026-05-25T14:23:00Z":  func(e *audit.Endpoint) { e.Warned = 1 },
		"endpoint.changed url; endpoint.disabled user": func(e *audit.Endpoint) { e.URL, e.Disabled = "", "user" },
	} {
		is := was
		change(&is)
		require.Equal(t, want, told(audit.Changes(was, is, false)))
	}
	was.Warned = 2
	is := was
	is.Warned = 0
	require.Equal(t, "endpoint.recovered ", told(audit.Changes(was, is, false)))
	was.Disabled = "failing"
	require.Equal(t, "endpoint.enabled ", told(audit.Changes(was, is, false)), "and no more, though the warnings begin anew")
	require.Equal(t, "endpoint.rotated ", told(audit.Changes(is, is, true)))
	is.NextSecretAt = at
	require.Equal(t, "endpoint.rotated signs from 2026-05-25T14:23:00Z", told(audit.Changes(is, is, true)))
}

// The longest names must fit into a note, or be cut.
func TestLongNotes(t *testing.T) {
	t.Parallel()
	var is audit.Endpoint
	for range 10 {
		is.Credentials.Headers = append(is.Credentials.Headers, strings.Repeat("x", 128))
	}
	note := audit.Changes(audit.Endpoint{}, is, false)[0].Note
	require.LessOrEqual(t, len(note), 512)
	require.True(t, strings.HasSuffix(note, "…"))
}

func told(changes []audit.Change) string {
	var texts []string
	for _, c := range changes {
		texts = append(texts, c.Type+" "+c.Note)
	}
	return strings.Join(texts, "; ")
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	const h, day = time.Hour, 24 * time.Hour
	for _, c := range []struct {
		failing, warn, disable time.Duration
		warned, want           int
	}{
		{h - 1, h, 5 * day, 0, 0},
		{h, h, 5 * day, 0, 1},
		{h, h, 5 * day, 1, 1},
		{60*h - 1, h, 5 * day, 1, 1},
		{60 * h, h, 5 * day, 1, 2},
		{60 * h, h, 5 * day, 0, 2}, // nobody has tried in between
		{60 * h, h, 5 * day, 2, 2},
		{100 * day, h, -1, 0, 1}, // it is never disabled
		{100 * day, h, -1, 1, 1},
		{4 * day, -1, 5 * day, 0, 0},      // nobody is to be warned
		{60 * h, 60 * h, 5 * day, 0, 1},   // once, not twice
		{90 * h, 60 * h, 5 * day, 1, 1},   //
		{60 * h, 90 * h, 5 * day, 0, 0},   //
		{0, 0, 5 * day, 0, 1},             //
		{h / 2, h, 5 * day, 2, 2},         // the time was shorter before a restart
		{60 * h, 90 * h, 5 * day, 1, 1},   //
		{3 * day, h, 5 * day, 1, 2},       //
		{5*day - 1, 5 * day, -day, 0, 0},  //
		{5 * day, 5*day - 1, 1 * h, 0, 1}, //
	} {
		require.Equal(t, c.want, audit.Warnings(c.failing, c.warn, c.disable, c.warned), "%+v", c)
	}
}

func TestNotesOfRecoveries(t *testing.T) {
	t.Parallel()
	require.Equal(t, "running: events until 2026-05-25T14:23:00Z", audit.Begun(t.Context(), audit.Recovery{State: "running"}, time.Date(2026, 5, 25, 16, 23, 0, 9, time.FixedZone("", 7200))))
	require.Equal(t, "canceling: events until 2026-05-25T14:23:00Z, event evt_1, type a.b, reason timeout, by operators; our fault",
		audit.Begun(t.Context(), audit.Recovery{State: "canceling", EventID: "evt_1", EventType: "a.b", Last: "timeout", Note: "our fault"}, time.Date(2026, 5, 25, 14, 23, 0, 0, time.UTC)))
	require.LessOrEqual(t, len(audit.Begun(t.Context(), audit.Recovery{State: "running", Note: strings.Repeat("é", 600)}, time.Now())), 512)
	require.Equal(t, "done: 17 sent again, 1 skipped", audit.Ended(t.Context(), audit.Recovery{State: "done"}, 17, 1))
	require.Equal(t, "discarded: 9 deliveries", audit.Ended(t.Context(), audit.Recovery{State: "discarded"}, 0, 9))
	require.Equal(t, "canceled: 9 deliveries", audit.Ended(t.Context(), audit.Recovery{State: "canceled"}, 0, 9))
	require.Equal(t, "erased: 9 events", audit.Ended(t.Context(), audit.Recovery{State: "erased"}, 0, 9))
	require.Equal(t, "removed", audit.Ended(t.Context(), audit.Recovery{State: "removed"}, 0, 9))
}

// What people of the host do to the recovery of one endpoint is marked, whether or not they say why.
func TestWhatOperatorsDoIsNotForCustomers(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 25, 14, 23, 0, 0, time.UTC)
	jane, olga := audit.WithActor(t.Context(), "jane"), audit.WithOperator(t.Context(), "olga")
	for _, c := range []struct {
		note string
		id   string
		told string // "" if all of it is told, and who did it
	}{
		{audit.Begun(jane, audit.Recovery{State: "running"}, at), "wh_1", ""},
		{audit.Ended(jane, audit.Recovery{State: "stopped"}, 3, 0), "wh_1", ""},
		{audit.Begun(olga, audit.Recovery{State: "running"}, at), "wh_1", "running: events until 2026-05-25T14:23:00Z"},
		{audit.Begun(jane, audit.Recovery{State: "canceling", Actor: "jane"}, at), "wh_1", "canceling: events until 2026-05-25T14:23:00Z"},
		{audit.Begun(jane, audit.Recovery{State: "canceling", Note: "a, by operators; b"}, at), "wh_1", "canceling: events until 2026-05-25T14:23:00Z"},
		{audit.Begun(jane, audit.Recovery{State: "canceling", Many: true, Note: "a, by operators; b"}, at), "rec_1", "canceling: events until 2026-05-25T14:23:00Z"},
		{audit.Ended(olga, audit.Recovery{State: "stopped"}, 3, 0), "wh_1", "stopped: 3 sent again, 0 skipped"},
		{audit.Ended(jane, audit.Recovery{State: "stopped", Actor: "olga"}, 3, 0), "wh_1", "stopped: 3 sent again, 0 skipped"},
		{"running: events until 2026-05-25T14:23:00Z; of an earlier release", "wh_1", "running: events until 2026-05-25T14:23:00Z"},
	} {
		_, actor, note := audit.ForCustomer("recovery.begun", c.id, "somebody", c.note)
		if c.told == "" {
			require.Equal(t, []string{"somebody", c.note}, []string{actor, note})
			continue
		}
		require.Equal(t, []string{"", c.told}, []string{actor, note}, c.note)
	}
	require.Equal(t, "done: 3 sent again, 0 skipped", audit.Ended(t.Context(), audit.Recovery{State: "done", Note: "why"}, 3, 0), "nobody did that")
	require.Equal(t, "removed", audit.Ended(olga, audit.Recovery{State: "removed", Many: true, Note: "why"}, 0, 9))
	require.Equal(t, "olga", audit.Actor(olga))
}

func TestTold(t *testing.T) {
	t.Parallel()
	require.Empty(t, audit.Told("", false, "org_1", "endpoint.changed", "url"))
	require.Equal(t, []string{"host"}, audit.Told("host", false, "org_1", "endpoint.changed", "url"))
	require.Equal(t, []string{"org_1"}, audit.Told("", true, "org_1", "endpoint.changed", "url"))
	require.Equal(t, []string{"host", "org_1"}, audit.Told("host", true, "org_1", "endpoint.changed", "url"))
	require.Equal(t, []string{"host"}, audit.Told("host", true, "host", "endpoint.changed", "url"))
	require.Empty(t, audit.Told("", true, "", "endpoint.changed", "url"))
	for note, told := range map[string]bool{"removed": false, "removing: events until 2026-05-25T14:23:00Z": false, "stopped: 0 sent again, 0 skipped": true} {
		require.Equal(t, told, len(audit.Told("", true, "org_1", "recovery.ended", note)) == 1, note)
	}
}

func TestEventID(t *testing.T) {
	t.Parallel()
	const op = "op_01kt0v7fbgf0m8n2p4q6r7s9tv"
	id := audit.EventID(op, "org_1")
	require.Equal(t, id, audit.EventID(op, "org_1"))
	require.NotEqual(t, id, audit.EventID(op, "org_2"))
	require.NotEqual(t, id, audit.EventID("op_01kt0v7fbgf0m8n2p4q6r7s9tw", "org_1"))
	at, ok := typeid.Time("evt", id)
	require.True(t, ok)
	of, _ := typeid.Time("op", op)
	require.Equal(t, of, at)
}

func TestTypes(t *testing.T) {
	t.Parallel()
	require.Len(t, audit.Types(), 13)
	for _, kind := range audit.Types() {
		require.True(t, audit.IsType(kind.Name))
		require.True(t, json.Valid(kind.Example), "%s", kind.Example)
	}
	require.False(t, audit.IsType("candidate.completed"))
	require.False(t, audit.IsType(""))
}
