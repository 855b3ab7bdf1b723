package forms_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/forms"
	"github.com/alot/alotwebhook/internal/loglimit"
)

const payload = `{"id":"evt_01kt0v7fbgf0m8n2p4q6r7s9tv","type":"a.b","timestamp":"2026-05-25T14:23:00.000Z","organizationId":"org_1","data": {"x": 1}}`

func newForms(t *testing.T, versions ...string) *forms.Forms {
	t.Helper()
	f, _, problem := forms.New(versions)
	require.Empty(t, problem)
	return f
}

func TestPayloadOfAVersion(t *testing.T) {
	t.Parallel()
	f := newForms(t, "2024", "2025", "2026")
	require.Empty(t, f.Add("a.b", map[string]forms.Func{
		"2024": func(data json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(strings.ReplaceAll(string(data), "x", "old")), nil
		},
	}))
	for version, data := range map[string]string{"": `{"old": 1}`, "2024": `{"old": 1}`, "2025": ` {"x": 1}`, "2026": ` {"x": 1}`} {
		got, err := f.Payload(version, "a.b", []byte(payload))
		require.NoError(t, err, version)
		require.Equal(t, strings.Replace(payload, ` {"x": 1}`, data, 1), string(got), version)
	}
	got, err := f.Payload("2024", "a.c", []byte(payload))
	require.NoError(t, err)
	require.Equal(t, payload, string(got), "another type has today's form")
	_, err = f.Payload("2023", "a.b", []byte(payload))
	require.ErrorIs(t, err, forms.ErrUnknown)
}

func TestFunctionsThatFail(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, fn := range map[string]forms.Func{
		"broken":   func(json.RawMessage) (json.RawMessage, error) { return nil, broken },
		"panicked": func(json.RawMessage) (json.RawMessage, error) { panic(broken) },
		"returned": func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`{"x":`), nil },
		"data":     func(json.RawMessage) (json.RawMessage, error) { return nil, nil },
	} {
		f := newForms(t, "1", "2")
		require.Empty(t, f.Add("a.b", map[string]forms.Func{"1": fn}))
		_, err := f.Payload("1", "a.b", []byte(payload))
		require.ErrorContains(t, err, name)
	}
}

// A backlog of a version that cannot be made must not fill the log.
func TestTellIsBounded(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f := newForms(t, "1", "2")
	for range 100 {
		f.Tell(slog.New(slog.NewTextHandler(&log, nil)), errors.New("broken"), "1", "event", "evt_1")
	}
	require.Equal(t, loglimit.Lines, strings.Count(log.String(), "version=1 error=broken"))
	require.Contains(t, log.String(), "event=evt_1")
}

func TestFormsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, versions := range [][]string{{""}, {"1", "1"}, {"1", "a b"}, {strings.Repeat("1", 65)}, {"é"}} {
		_, i, problem := forms.New(versions)
		require.NotEmpty(t, problem, "%q", versions)
		require.Equal(t, len(versions)-1, i)
	}
	f := newForms(t, "1", "2")
	require.Contains(t, f.Add("a", map[string]forms.Func{"2": nil}), "before the last")
	require.Contains(t, f.Add("a", map[string]forms.Func{"3": nil}), "before the last")
	require.Contains(t, f.Add("a", map[string]forms.Func{"1": nil}), "no function")
	require.Contains(t, f.Problem("3"), `"3" is none of 1, 2`)
	require.Contains(t, newForms(t).Problem("3"), "not offered")
	for _, version := range []string{"", "1", "2"} {
		require.Empty(t, f.Problem(version))
	}
	require.Equal(t, "2", f.Current())
	require.Empty(t, newForms(t).Current())
}

// What an attempt pays: nothing where nobody has versions, and a conversion where there is one.
func BenchmarkPayload(b *testing.B) {
	fields := func(data json.RawMessage) (json.RawMessage, error) {
		var f map[string]any
		if err := json.Unmarshal(data, &f); err != nil {
			return nil, err
		}
		f["points"] = f["score"]
		delete(f, "score")
		return json.Marshal(f)
	}
	body := []byte(strings.Replace(payload, ` {"x": 1}`, `{"sessionId":"sess_123","assessmentId":"asm_456","candidateName":"Jane Smith","candidateEmail":"jane@example.com","score":82,"status":"COMPLETED"}`, 1))
	none, _, _ := forms.New(nil)
	some, _, _ := forms.New([]string{"1", "2"})
	require.Empty(b, some.Add("a.b", map[string]forms.Func{"1": fields}))
	for _, c := range []struct {
		name    string
		forms   *forms.Forms
		version string
	}{{"unused", none, ""}, {"current", some, "2"}, {"older", some, "1"}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.forms.Payload(c.version, "a.b", body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
