package alotwebhook_test

import (
	"math"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

func TestConfigIsCheckedAtTheStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg   alotwebhook.Config
		field string
	}{
		"negative timeout":           {alotwebhook.Config{Timeout: -1}, "Timeout"},
		"timeout too long":           {alotwebhook.Config{Timeout: time.Hour}, "Timeout"},
		"connect timeout":            {alotwebhook.Config{ConnectTimeout: -1}, "ConnectTimeout"},
		"TLS timeout":                {alotwebhook.Config{TLSTimeout: -1}, "TLSTimeout"},
		"lease under 2 × timeout":    {alotwebhook.Config{Lease: 39 * time.Second}, "Lease"},
		"lease for a longer timeout": {alotwebhook.Config{Timeout: time.Minute, Lease: 2 * time.Minute}, "Lease"},
		"lease without an end":       {alotwebhook.Config{Lease: math.MaxInt64}, "Lease"},
		"poll interval":              {alotwebhook.Config{PollInterval: time.Hour}, "PollInterval"},
		"shutdown timeout":           {alotwebhook.Config{ShutdownTimeout: -1}, "ShutdownTimeout"},
		"in flight":                  {alotwebhook.Config{InFlight: -1}, "InFlight"},
		"too many in flight":         {alotwebhook.Config{InFlight: 100_000}, "InFlight"},
		"endpoint over process":      {alotwebhook.Config{InFlight: 8, InFlightPerEndpoint: 9}, "InFlightPerEndpoint"},
		"payload":                    {alotwebhook.Config{MaxPayload: 10}, "MaxPayload"},
		"response headers":           {alotwebhook.Config{MaxResponseHeader: 10}, "MaxResponseHeader"},
		"kept more than read":        {alotwebhook.Config{MaxResponseBody: 1024, KeepResponseBody: 2048}, "KeepResponseBody"},
		"no wait at first":           {alotwebhook.Config{Retry: alotwebhook.Schedule(0, 30*time.Second, 10*time.Minute)}, "Retry"},
		"no wait between":            {alotwebhook.Config{Retry: alotwebhook.Schedule(30*time.Second, 0)}, "Retry"},
		"negative wait":              {alotwebhook.Config{Retry: alotwebhook.Schedule(-time.Second)}, "Retry"},
		"wait without an end":        {alotwebhook.Config{Retry: alotwebhook.Schedule(time.Second, math.MaxInt64)}, "Retry"},
		"policy without a wait":      {alotwebhook.Config{Retry: func() backoff.BackOff { return &backoff.ZeroBackOff{} }}, "Retry"},
		"policy with less than none": {alotwebhook.Config{Retry: func() backoff.BackOff { return backoff.NewConstantBackOff(-5) }}, "Retry"},
		"policy without a schedule":  {alotwebhook.Config{Retry: func() backoff.BackOff { return nil }}, "Retry"},
		"policy with a nil schedule": {alotwebhook.Config{Retry: func() backoff.BackOff { return (*backoff.ExponentialBackOff)(nil) }}, "Retry"},
		"nil sealer":                 {alotwebhook.Config{Sealer: (*nilSealer)(nil)}, "Sealer"},
		"wrapper without transport":  {alotwebhook.Config{WrapTransport: func(http.RoundTripper) http.RoundTripper { return nil }}, "WrapTransport"},
		"user agent":                 {alotwebhook.Config{UserAgent: "a\r\nX-Evil: 1"}, "UserAgent"},
		"allowed net":                {alotwebhook.Config{AllowNets: []netip.Prefix{{}}}, "AllowNets[0]"},
		"denied net":                 {alotwebhook.Config{DenyNets: []netip.Prefix{{}}}, "DenyNets[0]"},
		"history under payload":      {alotwebhook.Config{HistoryRetention: time.Hour}, "HistoryRetention"},
		"too many endpoints":         {alotwebhook.Config{MaxEndpoints: 1001}, "MaxEndpoints"},
		"tests a minute":             {alotwebhook.Config{TestsPerMinute: 100_001}, "TestsPerMinute"},
		"redeliveries a minute":      {alotwebhook.Config{RedeliveriesPerMinute: 100_001}, "RedeliveriesPerMinute"},
		"changes a minute":           {alotwebhook.Config{ChangesPerMinute: 100_001}, "ChangesPerMinute"},
		"event type":                 {alotwebhook.Config{EventTypes: []alotwebhook.EventType{{Name: "Not A Type"}}}, "eventTypes[0].name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := alotwebhook.NewDispatcher(memory.New(), &c.cfg)
			var field *alotwebhook.FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, c.field, field.Field)
			require.ErrorIs(t, err, alotwebhook.ErrInvalid)
		})
	}
	_, err := alotwebhook.NewDispatcher(nil, nil)
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	_, err = alotwebhook.NewDispatcher((*memory.Store)(nil), nil)
	require.ErrorIs(t, err, alotwebhook.ErrInvalid, "a nil pointer in the interface is nil, too")
	_, err = alotwebhook.NewDispatcher(memory.New(), nil)
	require.NoError(t, err)
	_, err = alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		Timeout: time.Minute, InFlight: 4, DisableAfter: -1, PayloadRetention: -1, HistoryRetention: -1, MaxResponseBody: -1,
	})
	require.NoError(t, err, "defaults follow the fields that they depend on")
}

// Schedule's arguments are the waits between attempts: who writes "at 0, 30 s and
// 10 min" is told the right call.
func TestScheduleThatBeginsWithZeroIsExplained(t *testing.T) {
	t.Parallel()
	_, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{Retry: alotwebhook.Schedule(0, 30*time.Second, 10*time.Minute)})
	require.ErrorContains(t, err, "Schedule(30s, 10m0s)")
	_, err = alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{Retry: alotwebhook.Schedule()})
	require.NoError(t, err, "one attempt")
}

// nilSealer would panic if it were called.
type nilSealer struct{ alotwebhook.Sealer }

// What the host does with its slices afterwards changes nothing: not what may be reached, nor what may be emitted.
func TestConfigIsCopied(t *testing.T) {
	t.Parallel()
	allowed, denied := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, []netip.Prefix{netip.MustParsePrefix("127.9.0.0/16")}
	types := []alotwebhook.EventType{{Name: "thing.done"}}
	d, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{AllowHTTP: true, AllowNets: allowed, DenyNets: denied, EventTypes: types})
	require.NoError(t, err)
	allowed[0], denied[0] = netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")
	types[0].Name = "NO NAME"
	for url, refused := range map[string]bool{"http://127.0.0.1:9000": false, "http://10.0.0.1:9000": true, "http://127.9.0.1:9000": true} {
		_, err = d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{OrganizationID: "org_a", URL: url, EventTypes: []string{"thing.done"}})
		require.Equal(t, refused, err != nil, "%s: %v", url, err)
	}
	require.Equal(t, "thing.done", d.EventTypes()[0].Name)
}
