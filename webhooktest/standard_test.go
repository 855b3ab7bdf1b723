package webhooktest_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// Two receivers pass: one that accepts only Standard Webhooks, and one that accepts either
// form.
func TestStandardReceiverPasses(t *testing.T) {
	t.Parallel()
	for _, only := range []bool{true, false} {
		t.Run(fmt.Sprint("only ", only), func(t *testing.T) {
			t.Parallel()
			d := &desk{}
			battery := webhooktest.Battery{Secret: secret, Handled: d.handled, StandardWebhooks: true, MaxBodyBytes: alotwebhook.DefaultMaxBodyBytes}
			h := standardReceiver(t, d, &alotwebhook.StandardConfig{Only: only})
			battery.CheckReceiver(t, h)
			battery.StandardWebhooks = false
			spy := &recorder{TB: t}
			battery.CheckReceiver(spy, h)
			if only {
				require.Equal(t, []string{"signed"}, spy.found())
			} else {
				require.Empty(t, spy.found())
			}
		})
	}
}

func standardReceiver(t *testing.T, d *desk, cfg *alotwebhook.StandardConfig) http.Handler {
	t.Helper()
	v, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	r := alotwebhook.NewReceiver(v.AcceptStandard(cfg), &alotwebhook.ReceiverConfig{Logger: slog.New(slog.DiscardHandler)})
	one := make(chan struct{}, 1)
	alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(_ context.Context, e alotwebhook.Event, _ alotwebhook.CandidateCompleted) error {
		one <- struct{}{}
		defer func() { <-one }()
		d.actOnce(e.ID)
		return nil
	})
	return r
}

// standardVerify returns a parts.verify that accepts only Standard Webhooks.
func standardVerify(t *testing.T) func(r *http.Request, body []byte) bool {
	t.Helper()
	v, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	v = v.AcceptStandard(&alotwebhook.StandardConfig{Only: true})
	return func(r *http.Request, body []byte) bool {
		_, err := v.VerifyHeader(body, r.Header)
		return err == nil
	}
}

func TestWrongStandardReceiversAreFound(t *testing.T) {
	t.Parallel()
	header := func(r *http.Request) (id string, at time.Time, signatures string) {
		var seconds int64
		_, _ = fmt.Sscan(r.Header.Get(alotwebhook.StandardTimestampHeader), &seconds)
		return r.Header.Get(alotwebhook.StandardIDHeader), time.Unix(seconds, 0), r.Header.Get(alotwebhook.StandardSignatureHeader)
	}
	right := standardVerify(t)
	for name, c := range map[string]struct {
		verify func(r *http.Request, body []byte) bool
		found  []string
	}{
		"verifies nothing": {
			func(*http.Request, []byte) bool { return true },
			[]string{"standard-unsigned"},
		},
		"forgets the time": {
			func(r *http.Request, body []byte) bool {
				id, at, signatures := header(r)
				return right(r, body) || signatures == alotwebhook.SignStandard(body, id, at, secret)
			},
			[]string{"standard-stale"},
		},
		"refuses only old ones": {
			func(r *http.Request, body []byte) bool {
				id, at, signatures := header(r)
				return right(r, body) ||
					signatures == alotwebhook.SignStandard(body, id, at, secret) && time.Since(at) < time.Minute
			},
			[]string{"standard-stale"},
		},
		"knows one signature": {
			func(r *http.Request, body []byte) bool {
				id, at, signatures := header(r)
				return right(r, body) && signatures == alotwebhook.SignStandard(body, id, at, secret)
			},
			[]string{"standard-rotation"},
		},
		"takes an empty secret": {
			func(r *http.Request, body []byte) bool {
				id, at, signatures := header(r)
				return right(r, body) || signatures == alotwebhook.SignStandard(body, id, at, "")
			},
			[]string{"standard-forged"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := rightParts()
			p.verify = c.verify
			spy := &recorder{TB: t}
			webhooktest.Battery{Secret: secret, Handled: p.handled, StandardWebhooks: true, MaxBodyBytes: bodyLimit}.CheckReceiver(spy, p)
			require.Equal(t, c.found, spy.found(), "%s", spy.errors)
		})
	}
}

func TestStandardLeakIsFound(t *testing.T) {
	t.Parallel()
	p := rightParts()
	p.verify = standardVerify(t)
	p.refuse = func(w http.ResponseWriter, r *http.Request, body []byte) {
		var seconds int64
		_, _ = fmt.Sscan(r.Header.Get(alotwebhook.StandardTimestampHeader), &seconds)
		want := alotwebhook.SignStandard(body, r.Header.Get(alotwebhook.StandardIDHeader), time.Unix(seconds, 0), secret)
		http.Error(w, "want "+want, http.StatusUnauthorized)
	}
	spy := &recorder{TB: t}
	webhooktest.Battery{Secret: secret, Handled: p.handled, StandardWebhooks: true, MaxBodyBytes: bodyLimit}.CheckReceiver(spy, p)
	require.Equal(t, []string{"leaks-nothing"}, spy.found())
	require.Contains(t, spy.errors[0], "wrongly signed: the response contains the right signature in base64")
}
