package wire_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/mac"
	"github.com/alot/alotwebhook/internal/wire"
)

func TestHeader(t *testing.T) {
	t.Parallel()
	head := wire.Head{EventID: "evt_1", EventType: "a.b", DeliveryID: "dlv_1", UserAgent: "acme/2", Attempt: 3, TraceParent: "00-1-2-01"}
	plain := http.Header{
		"Content-Type": {"application/json"}, "X-Alot-Event": {"a.b"}, "X-Alot-Delivery": {"dlv_1"}, "X-Alot-Attempt": {"3"}, "User-Agent": {"acme/2"},
	}
	require.Equal(t, plain, head.Header(nil))
	head.Test, head.Traced, head.Standard = true, true, true
	plain["X-Alot-Test"], plain["Traceparent"] = []string{"true"}, []string{"00-1-2-01"}
	require.Equal(t, plain, head.Header(nil), "nothing signs it")

	by := wire.Signing{Payload: []byte("{}"), Secret: "one", At: time.Unix(1700000000, 9)}
	signed := head.Header(&by)
	require.Equal(t, []string{mac.Sign([]byte("{}"), "one")}, signed["X-Alot-Signature"])
	first := mac.SignStandard([]byte("{}"), "evt_1", "1700000000", "one")
	require.Equal(t, [][]string{{"evt_1"}, {"1700000000"}, {first}}, [][]string{signed["Webhook-Id"], signed["Webhook-Timestamp"], signed["Webhook-Signature"]})
	by.Next = "two"
	require.Equal(t, []string{first + " " + mac.SignStandard([]byte("{}"), "evt_1", "1700000000", "two")}, head.Header(&by)["Webhook-Signature"])
	signed["X-Alot-Event"] = append(signed["X-Alot-Event"], "more")
	require.Equal(t, []string{"dlv_1"}, signed["X-Alot-Delivery"], "the values are apart, although they share an array")
}

func TestHostOf(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://Hooks.Example.com.:443/token?x=y": "hooks.example.com",
		"https://hooks.example.com:8443/token":     "hooks.example.com:8443",
		"http://hooks.example.com:80":              "hooks.example.com",
		"https://user:password@example.com/":       "example.com",
		"https://[2606:2800::1]:8443/":             "[2606:2800::1]:8443",
		"https://[2606:2800::1]/":                  "[2606:2800::1]",
		"":                                         "",
		"https://example.com/%":                    "",
	} {
		require.Equal(t, want, wire.HostOf(raw), raw)
	}
}

func TestLogOfAnAttempt(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo}))
	r := wire.Report{Delivery: "dlv_1", Status: 204, State: "delivered", URL: "https://a.example.com/token"}
	r.Log(log)
	require.Empty(t, out.String(), "successes are for debugging")
	r.Reason = "status"
	r.Log(log)
	require.Contains(t, out.String(), "level=INFO")
	require.Contains(t, out.String(), "host=a.example.com")
	require.NotContains(t, out.String(), "token")
	r.Failed, r.URL = true, ""
	r.Log(log)
	require.Contains(t, out.String(), "level=WARN")
}
