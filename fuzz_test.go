package alotwebhook_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// shortTexts leaves out the very deep ones, which would slow a fuzzer down.
func shortTexts() []string {
	return slices.DeleteFunc(slices.Clone(jsonTexts), func(s string) bool { return len(s) > 1000 })
}

func FuzzValidJSON(f *testing.F) {
	for _, text := range shortTexts() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		require.Equal(t, utf8.Valid(text) && json.Valid(text), alotwebhook.ValidJSON(text))
	})
}

// What is accepted, encoding/json sees the same way, and it comes back the same.
func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(payload))
	for _, text := range shortTexts() {
		f.Add([]byte(text))
		f.Add([]byte(with("data", text)))
		f.Add([]byte(with("type", text)))
	}
	f.Add([]byte(with("type", `"a","Type":"b"`)))
	f.Add([]byte(with("organizationId", `"\u006frg","\u0064ata":1`)))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := alotwebhook.ParseEvent(body)
		if err != nil {
			require.ErrorIs(t, err, alotwebhook.ErrMalformedEvent)
			return
		}
		var other struct {
			ID             string          `json:"id"`
			Type           string          `json:"type"`
			Timestamp      time.Time       `json:"timestamp"`
			OrganizationID string          `json:"organizationId"`
			Data           json.RawMessage `json:"data"`
		}
		require.NoError(t, json.Unmarshal(body, &other))
		require.Equal(t, alotwebhook.Event(other), e)

		again, err := alotwebhook.ParseEvent(e.Payload())
		require.NoError(t, err)
		require.Equal(t, e, again)
	})
}
