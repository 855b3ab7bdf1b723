package wire_test

import (
	"math/big"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/wire"
)

var now = time.Date(2026, 5, 25, 14, 0, 0, 0, time.UTC)

func retryAfter(value string) time.Duration {
	return wire.RetryAfter(http.Header{"Retry-After": {value}}, now)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-5": 0, "+5": 0, "1e3": 0, ".5": 0, "1.5.0": 0, "0x10": 0,
		"0": 0, "120": 2 * time.Minute, " 120 ": 2 * time.Minute, `"120"`: 2 * time.Minute, "0120": 2 * time.Minute,
		"299.997": 5 * time.Minute, "1.5": 2 * time.Second, "0.4": time.Second, "1.000": time.Second, "30.": 30 * time.Second,
		"86400": 24 * time.Hour, "86401": 24 * time.Hour, "86400.5": 24 * time.Hour, "2147483648": 24 * time.Hour, "99999999999999999999999": 24 * time.Hour,
		"Mon, 25 May 2026 14:23:00 GMT":   23 * time.Minute,
		"Mon, 25 May 2026 14:23:00 UTC":   23 * time.Minute,
		"Mon, 25 May 2026 16:23:00 +0200": 23 * time.Minute,
		"Monday, 25-May-26 14:23:00 GMT":  23 * time.Minute,
		"Mon May 25 14:23:00 2026":        23 * time.Minute,
		"2026-05-25T14:23:00Z":            23 * time.Minute,
		"2026-05-25T16:23:00.5+02:00":     23*time.Minute + 500*time.Millisecond,
		"Fri, 01 Jan 1999 00:00:00 GMT":   0,
		"Fri, 01 Jan 2100 00:00:00 GMT":   24 * time.Hour,
	} {
		require.Equal(t, want, retryAfter(value), "%q", value)
	}
	require.Zero(t, wire.RetryAfter(http.Header{}, now))
}

func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{"", "0", "120", "86401", "-1", "+1", "1.5", "2147483648", "Mon, 25 May 2026 14:23:00 GMT", "2026-05-25T14:23:00Z"} {
		f.Add(value)
	}
	number := regexp.MustCompile(`\A[0-9]+(\.[0-9]*)?\z`)
	f.Fuzz(func(t *testing.T, value string) {
		got := retryAfter(value)
		require.GreaterOrEqual(t, got, time.Duration(0))
		require.LessOrEqual(t, got, 24*time.Hour)
		if seconds, ok := new(big.Rat).SetString(value); ok && number.MatchString(value) {
			if seconds.Cmp(big.NewRat(86400, 1)) >= 0 {
				require.Equal(t, 24*time.Hour, got)
				return
			}
			exact, _ := seconds.Float64()
			require.InDelta(t, exact+0.5, got.Seconds(), 0.5)
		}
	})
}
