package webhooktest_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// In this mode crypto/hmac panics for SHA-1, and for a key below 14 bytes.
func TestChecksUnderFIPS(t *testing.T) {
	t.Parallel()
	if os.Getenv("ALOTWEBHOOK_TEST_FIPS") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChecksUnderFIPS$", "-test.v")
		cmd.Env = append(os.Environ(), "ALOTWEBHOOK_TEST_FIPS=1", "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "--- PASS: TestChecksUnderFIPS")
		return
	}
	for _, secret := range []alotwebhook.Secret{"short", "longer than fourteen bytes"} {
		v, err := alotwebhook.NewVerifier(secret)
		require.NoError(t, err)
		right := alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{Logger: slog.New(slog.DiscardHandler)})
		webhooktest.CheckReceiver(t, right, secret)

		var seen atomic.Int32
		takesOthers := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.Header.Get(alotwebhook.SignatureHeader), "sha512=") && len(r.Header.Get(alotwebhook.SignatureHeader)) > 128 {
				seen.Add(1)
				return
			}
			right.ServeHTTP(w, r)
		})
		do := func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			takesOthers.ServeHTTP(w, r)
			return w.Result(), nil
		}
		for _, f := range (webhooktest.Battery{Secret: secret}).Check(t.Context(), do) {
			require.Equal(t, f.Check != "other-algorithm", f.OK(), f)
		}
		require.NotZero(t, seen.Load(), "SHA-512 is allowed in this mode")
	}
}
