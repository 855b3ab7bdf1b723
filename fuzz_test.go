package alotwebhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// If ParseEvent accepts a body, encoding/json reads the same event from it, the rules of
// the format hold, and the event survives a round trip.
func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(payload))
	for _, text := range []string{``, ` `, `{}`, `[]`, `null`, `"\u00e9"`, `{"a":{"b":[null,1]},"a":""}`, `[1,]`, `01`, `"\x"`, "\"\x1f\"", "[1]\x00"} {
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
			TraceParent    string          `json:"-"`
			Subject        string          `json:"-"`
			Test           bool            `json:"-"`
		}
		require.NoError(t, json.Unmarshal(body, &other))
		require.Equal(t, alotwebhook.Event(other), e)
		require.True(t, utf8.Valid(body))
		require.Regexp(t, `\Aevt_[0-7][0-9a-hjkmnp-tv-z]{25}\z`, e.ID)
		require.NotEmpty(t, e.Type)
		require.NotEmpty(t, e.OrganizationID)
		requireNoKeyTwice(t, body)

		again, err := alotwebhook.ParseEvent(e.Payload())
		require.NoError(t, err)
		require.Equal(t, e, again)
	})
}

// requireNoKeyTwice requires that no two keys of an object are equal or differ in case
// only.
func requireNoKeyTwice(t *testing.T, object []byte) {
	t.Helper()
	var keys []string
	dec := json.NewDecoder(bytes.NewReader(object))
	_, err := dec.Token() // the opening brace
	require.NoError(t, err)
	for dec.More() {
		key, err := dec.Token()
		require.NoError(t, err)
		for _, other := range keys {
			require.False(t, strings.EqualFold(key.(string), other), "%q and %q", key, other)
		}
		keys = append(keys, key.(string))
		require.NoError(t, dec.Decode(new(json.RawMessage)))
	}
}

// ParseEvent accepts a timestamp only in the spelling in which Payload prints it.
func FuzzTimestamp(f *testing.F) {
	const layout = "2006-01-02T15:04:05.000Z"
	for _, text := range []string{
		"2026-05-25T14:23:00.000Z", "2024-02-29T23:59:59.999Z", "2023-02-29T00:00:00.000Z", "0000-01-01T00:00:00.000Z",
		"2026-05-25T14:23:60.000Z", "2026-05-25T24:00:00.000Z", "2026-05-25T14:23:00Z", "2026-05-25T14:23:00,000Z", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted, err := json.Marshal(text)
		require.NoError(t, err)
		e, err := alotwebhook.ParseEvent([]byte(with("timestamp", string(quoted))))
		want, refused := time.Parse(layout, text)
		if refused != nil || want.Format(layout) != text {
			require.ErrorIs(t, err, alotwebhook.ErrMalformedEvent)
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, e.Timestamp)
	})
}

var (
	standardIDForm        = regexp.MustCompile(`\A[^.]+\z`)
	standardTimestampForm = regexp.MustCompile(`\A[1-9][0-9]{0,11}\z`)
)

// referenceVerifyStandard verifies as the specification says, and is stricter where this
// package is: no dot in the id, and one spelling of the time.
func referenceVerifyStandard(body []byte, id, timestamp, signatures string, key []byte) bool {
	if len(id) > 256 || !standardIDForm.MatchString(id) || !standardTimestampForm.MatchString(timestamp) {
		return false
	}
	return slices.Contains(strings.Split(signatures, " "), standardReference(body, id, timestamp, key))
}

func FuzzVerifyHeader(f *testing.F) {
	const secret = alotwebhook.Secret("your-signing-secret")
	plain, err := alotwebhook.NewVerifier("another", secret)
	require.NoError(f, err)
	// The fuzzer chooses the time, so the tolerance is unlimited.
	v := plain.AcceptStandard(&alotwebhook.StandardConfig{Only: true, Tolerance: math.MaxInt64})
	good := standardReference([]byte(payload), eventID, "1779719000", []byte(secret))
	f.Add([]byte(payload), eventID, "1779719000", good, "")
	f.Add([]byte(payload), eventID, "1779719000", "v1a,x "+good[:20], "v1,")
	f.Add([]byte("1.{}"), "evt_1.2", "+1", "v1", " v1,"+strings.Repeat("A", 44))
	f.Fuzz(func(t *testing.T, body []byte, id, timestamp, before, after string) {
		good := standardReference(body, id, timestamp, []byte(secret))
		for _, signatures := range []string{before, before + good + after, before + " " + good + " " + after} {
			h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signatures}}
			index, err := v.VerifyHeader(body, h)
			if referenceVerifyStandard(body, id, timestamp, signatures, []byte(secret)) {
				require.NoError(t, err)
				require.Equal(t, 1, index)
				continue
			}
			require.Error(t, err)
			require.Equal(t, -1, index)
		}
	})
}

// A receiver handles a request if the signature is right and the body is an event, and no
// other request.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte(payload), alotwebhook.Sign([]byte(payload), receiverSecret), "", "")
	f.Add([]byte(payload), "sha256=", "v1,", "gzip")
	f.Fuzz(func(t *testing.T, body []byte, ours, theirs, encoding string) {
		v := standardVerifier(t, &alotwebhook.StandardConfig{Tolerance: math.MaxInt64}, receiverSecret)
		handled := 0
		receiver := alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{
			Unknown: func(context.Context, alotwebhook.Event) error { handled++; return nil },
			Logger:  slog.New(slog.DiscardHandler),
		})
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header = http.Header{alotwebhook.SignatureHeader: {ours}, "Content-Encoding": {encoding}}
		right := referenceVerify(body, ours, receiverSecret)
		if theirs != "" {
			r.Header["Webhook-Id"], r.Header["Webhook-Timestamp"], r.Header["Webhook-Signature"] = []string{eventID}, []string{"1"}, []string{theirs}
			right = referenceVerifyStandard(body, eventID, "1", theirs, []byte(receiverSecret))
		}
		status := responseOf(receiver, r).StatusCode
		_, err := alotwebhook.ParseEvent(body)
		if right && err == nil && (encoding == "" || strings.EqualFold(encoding, "identity")) {
			require.Equal(t, 1, handled)
			return
		}
		require.Zero(t, handled)
		require.GreaterOrEqual(t, status, 400)
	})
}

// A sealer returns only secrets that it sealed itself for the same endpoint, and texts that
// were never sealed.
func FuzzSealer(f *testing.F) {
	sealer, err := alotwebhook.NewSealer(alotwebhook.SealingKey{ID: "k1", Key: make([]byte, 32)})
	require.NoError(f, err)
	sealed, err := sealer.Seal("wh_1", "the secret")
	require.NoError(f, err)
	for _, text := range []string{string(sealed), "sealed1:", "sealed1:k1:", "sealed1:k2:AAAA", "sealed1:k1:!", "plain", ""} {
		f.Add("wh_1", text)
		f.Add("wh_2", text)
	}
	f.Fuzz(func(t *testing.T, endpointID, text string) {
		secret, err := sealer.Open(endpointID, alotwebhook.Secret(text))
		switch {
		case !strings.HasPrefix(text, "sealed1:"):
			require.NoError(t, err)
			require.Equal(t, text, string(secret))
		case err == nil: // only the text from Seal can open, since no input has the key
			require.Equal(t, "wh_1", endpointID)
			require.Equal(t, "the secret", string(secret))
		}
	})
}
