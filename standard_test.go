package alotwebhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// The tests of the Svix and Standard Webhooks libraries have this vector.
func TestSignStandardKnownAnswer(t *testing.T) {
	t.Parallel()
	got := alotwebhook.SignStandard([]byte(`{"test": 2432232314}`), "msg_p5jXN8AQM9LWM0D4loKWxJek",
		time.Unix(1614265330, 0), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", got)
}

// standardReference signs as the specification says. The key is the decoded key.
func standardReference(body []byte, id, timestamp string, key []byte) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(id + "." + timestamp + "."))
	m.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
}

func TestStandardKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		secret alotwebhook.Secret
		key    string
	}{
		"of the form":        {"whsec_a2V5IG9mIDI0IGJ5dGVzIG9yIG1vcmU=", "key of 24 bytes or more"},
		"without padding":    {"whsec_a2V5IG9mIDI0IGJ5dGVzIG9yIG1vcmU", "key of 24 bytes or more"},
		"short":              {"whsec_a2V5", "key"},
		"plain text":         {"your-signing-secret", "your-signing-secret"},
		"not ASCII":          {"пароль", "пароль"},
		"base64, no prefix":  {"a2V5", "a2V5"},
		"the prefix alone":   {"whsec_", "whsec_"},
		"padding alone":      {"whsec_====", "whsec_===="},
		"not base64":         {"whsec_not base64", "whsec_not base64"},
		"base64 for URLs":    {"whsec_-_-_", "whsec_-_-_"},
		"impossible length":  {"whsec_a2V5a", "whsec_a2V5a"},
		"too much padding":   {"whsec_a2V5====", "whsec_a2V5===="},
		"line end inside":    {"whsec_a2\nV5", "whsec_a2\nV5"},
		"another prefix":     {"whsk_a2V5", "whsk_a2V5"},
		"upper-case prefix":  {"WHSEC_a2V5", "WHSEC_a2V5"},
		"prefix not the 1st": {"v1,whsec_a2V5", "v1,whsec_a2V5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := time.Unix(1779719000, 999_999_999)
			want := standardReference([]byte("body"), "evt_1", "1779719000", []byte(c.key))
			require.Equal(t, want, alotwebhook.SignStandard([]byte("body"), "evt_1", at, c.secret))

			standard := c.secret.Standard()
			require.Equal(t, "whsec_"+base64.StdEncoding.EncodeToString([]byte(c.key)), string(standard))
			require.Equal(t, standard, standard.Standard(), "a secret of this form does not change")
			require.Equal(t, want, alotwebhook.SignStandard([]byte("body"), "evt_1", at, standard))
			require.Equal(t, referenceSign([]byte("body"), c.secret), alotwebhook.Sign([]byte("body"), c.secret), "the key of Sign is always the UTF-8 bytes")
		})
	}
	require.Empty(t, alotwebhook.Secret("").Standard())
	own := alotwebhook.NewSecret()
	require.Equal(t, own, own.Standard())
}

// standardHeader returns the headers that a sender adds at a given time.
func standardHeader(body []byte, at time.Time, secret alotwebhook.Secret) http.Header {
	h := http.Header{}
	h.Set("webhook-id", eventID)
	h.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("webhook-signature", alotwebhook.SignStandard(body, eventID, at, secret))
	return h
}

func standardVerifier(t testing.TB, cfg *alotwebhook.StandardConfig, secrets ...alotwebhook.Secret) *alotwebhook.Verifier {
	t.Helper()
	v, err := alotwebhook.NewVerifier(secrets...)
	require.NoError(t, err)
	return v.AcceptStandard(cfg)
}

func TestVerifyHeaderStandard(t *testing.T) {
	t.Parallel()
	const secret alotwebhook.Secret = "whsec_a2V5IG9mIDI0IGJ5dGVzIG9yIG1vcmU="
	body := []byte(payload)
	good := standardHeader(body, time.Now(), secret)
	signature := good.Get("webhook-signature")
	other := alotwebhook.SignStandard(body, eventID, time.Now(), "another")
	now := good.Get("webhook-timestamp")
	set := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	add := func(name, value string) func(http.Header) { return func(h http.Header) { h.Add(name, value) } }
	// The proxy of AWS for functions makes one value of each part between commas.
	split := func(signatures string) func(http.Header) {
		return func(h http.Header) { h["Webhook-Signature"] = strings.Split(signatures, ",") }
	}
	signedFor := func(id, timestamp string) func(http.Header) {
		return func(h http.Header) {
			h.Set("webhook-id", id)
			h.Set("webhook-timestamp", timestamp)
			h.Set("webhook-signature", standardReference(body, id, timestamp, []byte("key of 24 bytes or more")))
		}
	}
	for name, c := range map[string]struct {
		change func(http.Header)
		err    error
	}{
		"good":                     {func(http.Header) {}, nil},
		"good, second of two":      {set("webhook-signature", other+" "+signature), nil},
		"good, first of two":       {set("webhook-signature", signature+" "+other), nil},
		"good, unknown in between": {set("webhook-signature", "v1a,hnO3f9T8Ytu9 v2,x  ,, v1 "+signature+" v9,"), nil},
		"good, id of another kind": {signedFor("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", now), nil},
		"good, split at commas":    {split(signature), nil},
		"two, split at commas":     {split(other + " " + signature), nil},
		"no id":                    {func(h http.Header) { h.Del("webhook-id") }, alotwebhook.ErrNotSigned},
		"no timestamp":             {func(h http.Header) { h.Del("webhook-timestamp") }, alotwebhook.ErrNotSigned},
		"no signature":             {func(h http.Header) { h.Del("webhook-signature") }, alotwebhook.ErrNotSigned},
		"empty id":                 {set("webhook-id", ""), alotwebhook.ErrNotSigned},
		"empty timestamp":          {set("webhook-timestamp", ""), alotwebhook.ErrNotSigned},
		"empty signature":          {set("webhook-signature", ""), alotwebhook.ErrNotSigned},
		"doubled id":               {add("webhook-id", eventID), alotwebhook.ErrMalformedSignature},
		"doubled timestamp":        {add("webhook-timestamp", now), alotwebhook.ErrMalformedSignature},
		"doubled signature":        {add("webhook-signature", signature), alotwebhook.ErrMalformedSignature},
		"id with a dot":            {signedFor("evt_1.2", now), alotwebhook.ErrMalformedSignature},
		"very long id":             {signedFor(strings.Repeat("x", 257), now), alotwebhook.ErrMalformedSignature},
		"timestamp with a sign":    {signedFor(eventID, "+"+now), alotwebhook.ErrMalformedSignature},
		"timestamp with zeros":     {signedFor(eventID, "0"+now), alotwebhook.ErrMalformedSignature},
		"timestamp with a point":   {signedFor(eventID, now+".0"), alotwebhook.ErrMalformedSignature},
		"timestamp with a blank":   {signedFor(eventID, " "+now), alotwebhook.ErrMalformedSignature},
		"timestamp is a date":      {signedFor(eventID, "2026-05-25T14:23:00Z"), alotwebhook.ErrMalformedSignature},
		"timestamp overflows":      {signedFor(eventID, "9223372036854775808"), alotwebhook.ErrMalformedSignature},
		"timestamp negative":       {signedFor(eventID, "-1"), alotwebhook.ErrMalformedSignature},
		"milliseconds":             {signedFor(eventID, now+"00"), alotwebhook.ErrAttemptTooNew},
		"year one":                 {signedFor(eventID, "1"), alotwebhook.ErrAttemptTooOld},
		"no version":               {set("webhook-signature", strings.TrimPrefix(signature, "v1,")), alotwebhook.ErrMalformedSignature},
		"other version":            {set("webhook-signature", "v2,"+strings.TrimPrefix(signature, "v1,")), alotwebhook.ErrMalformedSignature},
		"upper-case version":       {set("webhook-signature", "V1,"+strings.TrimPrefix(signature, "v1,")), alotwebhook.ErrMalformedSignature},
		"truncated":                {set("webhook-signature", signature[:len(signature)-1]), alotwebhook.ErrMalformedSignature},
		"longer":                   {set("webhook-signature", signature+"A"), alotwebhook.ErrMalformedSignature},
		"with more behind":         {set("webhook-signature", signature+",x"), alotwebhook.ErrMalformedSignature},
		"joined by commas":         {set("webhook-signature", signature+", "+signature), nil},
		"of our own form":          {set("webhook-signature", alotwebhook.Sign(body, secret)), alotwebhook.ErrMalformedSignature},
		"split, without its end":   {func(h http.Header) { h["Webhook-Signature"] = []string{"v1", ""} }, alotwebhook.ErrMalformedSignature},
		"another secret":           {set("webhook-signature", other), alotwebhook.ErrSignatureMismatch},
		"another id":               {set("webhook-id", "evt_01jcc7wjz3e4qv8x5k2m9n6p0s"), alotwebhook.ErrSignatureMismatch},
		"another time":             {set("webhook-timestamp", strconv.FormatInt(time.Now().Unix()+60, 10)), alotwebhook.ErrSignatureMismatch},
		"signed with nothing":      {set("webhook-signature", standardReference(body, eventID, now, nil)), alotwebhook.ErrSignatureMismatch},
		"signed with the text":     {set("webhook-signature", standardReference(body, eventID, now, []byte(secret))), alotwebhook.ErrSignatureMismatch},
	} {
		t.Run(name, func(t *testing.T) { // not parallel: it might have to wait for longer than the signature is good
			h := good.Clone()
			c.change(h)
			index, err := standardVerifier(t, &alotwebhook.StandardConfig{Only: true}, "another one", secret).VerifyHeader(body, h)
			if c.err == nil {
				require.NoError(t, err)
				require.Equal(t, 1, index)
				return
			}
			require.ErrorIs(t, err, c.err)
			require.Equal(t, -1, index)
			require.Equal(t, 1, strings.Count(err.Error(), "alotwebhook: "), err)
			require.NotContains(t, err.Error(), signature)
		})
	}
}

func TestVerifyHeaderStandardReadsEveryByteOfTheBody(t *testing.T) {
	t.Parallel()
	body := []byte(payload)
	h, v := standardHeader(body, time.Now(), receiverSecret), standardVerifier(t, nil, receiverSecret)
	for _, changed := range []string{payload + "\n", "", payload[1:], strings.ToUpper(payload)} {
		_, err := v.VerifyHeader([]byte(changed), h)
		require.ErrorIs(t, err, alotwebhook.ErrSignatureMismatch)
	}
}

func TestStandardTolerance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, tolerance := range []time.Duration{0, -1, time.Second, time.Hour} {
			v := standardVerifier(t, &alotwebhook.StandardConfig{Tolerance: tolerance}, receiverSecret)
			if tolerance <= 0 {
				tolerance = 5 * time.Minute
			}
			for age, want := range map[time.Duration]error{
				0: nil, tolerance: nil, -tolerance: nil,
				tolerance + time.Second:     alotwebhook.ErrAttemptTooOld,
				-tolerance - time.Second:    alotwebhook.ErrAttemptTooNew,
				20 * 365 * 24 * time.Hour:   alotwebhook.ErrAttemptTooOld,
				-250 * 365 * 24 * time.Hour: alotwebhook.ErrAttemptTooNew,
			} {
				_, err := v.VerifyHeader([]byte(payload), standardHeader([]byte(payload), time.Now().Add(-age), receiverSecret))
				require.ErrorIs(t, err, want, "%v off by %v", tolerance, age)
			}
		}
	})
}

// A request may have our header, those of Standard Webhooks, or both. The cases say which
// of them decides.
func TestAcceptStandard(t *testing.T) {
	t.Parallel()
	body := []byte(payload)
	plain, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	either, only := plain.AcceptStandard(nil), plain.AcceptStandard(&alotwebhook.StandardConfig{Only: true})

	ours := http.Header{alotwebhook.SignatureHeader: {alotwebhook.Sign(body, receiverSecret)}}
	forged := http.Header{alotwebhook.SignatureHeader: {alotwebhook.Sign(body, "another")}}
	theirs := standardHeader(body, time.Now(), receiverSecret)
	stale := standardHeader(body, time.Now().Add(-time.Hour), receiverSecret)
	both := func(a, b http.Header) http.Header {
		h := a.Clone()
		for name, values := range b {
			h[name] = values
		}
		return h
	}
	for name, c := range map[string]struct {
		header              http.Header
		plain, either, only error
	}{
		"neither":             {http.Header{}, alotwebhook.ErrNotSigned, alotwebhook.ErrNotSigned, alotwebhook.ErrNotSigned},
		"ours":                {ours, nil, nil, alotwebhook.ErrNotSigned},
		"ours, forged":        {forged, alotwebhook.ErrSignatureMismatch, alotwebhook.ErrSignatureMismatch, alotwebhook.ErrNotSigned},
		"theirs":              {theirs, alotwebhook.ErrNotSigned, nil, nil},
		"both":                {both(ours, theirs), nil, nil, nil},
		"theirs stale":        {both(ours, stale), nil, alotwebhook.ErrAttemptTooOld, alotwebhook.ErrAttemptTooOld},
		"ours forged, theirs": {both(forged, theirs), alotwebhook.ErrSignatureMismatch, nil, nil},
	} {
		for of, v := range map[*alotwebhook.Verifier]error{plain: c.plain, either: c.either, only: c.only} {
			_, err := of.VerifyHeader(body, c.header)
			require.ErrorIs(t, err, v, name)
			r := signed(payload)
			r.Header = c.header
			_, err = of.ParseRequest(r)
			require.ErrorIs(t, err, v, name)
		}
	}
	require.NoError(t, only.Verify(body, alotwebhook.Sign(body, receiverSecret)), "Verify still takes our own header")
	for _, v := range []*alotwebhook.Verifier{nil, new(alotwebhook.Verifier)} {
		_, err := v.AcceptStandard(nil).VerifyHeader(body, theirs)
		require.Equal(t, alotwebhook.ErrNoSecret, err)
	}
}

func TestReceiverAcceptsStandard(t *testing.T) {
	t.Parallel()
	v := standardVerifier(t, &alotwebhook.StandardConfig{Only: true}, receiverSecret)
	var failed error
	receiver := alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{
		OnError: func(_ *http.Request, _ alotwebhook.Event, _ int, err error) { failed = err },
	})
	var got alotwebhook.Event
	alotwebhook.On(receiver, alotwebhook.EventCandidateCompleted, func(_ context.Context, e alotwebhook.Event, _ json.RawMessage) error {
		got = e
		return nil
	})
	send := func(at time.Time) int {
		r := signed(payload)
		r.Header = standardHeader([]byte(payload), at, receiverSecret)
		return responseOf(receiver, r).StatusCode
	}
	require.Equal(t, http.StatusOK, send(time.Now()))
	require.Equal(t, eventID, got.ID)
	require.Equal(t, http.StatusUnauthorized, send(time.Now().Add(-time.Hour)))
	require.ErrorIs(t, failed, alotwebhook.ErrAttemptTooOld)
	require.Equal(t, http.StatusUnauthorized, send(time.Now().Add(time.Hour)))
	require.ErrorIs(t, failed, alotwebhook.ErrAttemptTooNew)
	require.Equal(t, http.StatusUnauthorized, responseOf(receiver, signed(payload)).StatusCode)
	require.ErrorIs(t, failed, alotwebhook.ErrNotSigned)
}

func TestVerifyHeaderAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector a sync.Pool drops things at random")
	}
	if !alone(t) {
		return
	}
	body := []byte(payload)
	v := standardVerifier(t, nil, "old", receiverSecret)
	theirs := standardHeader(body, time.Now(), receiverSecret)
	theirs.Set("webhook-signature", alotwebhook.SignStandard(body, eventID, time.Now(), "another")+" "+theirs.Get("webhook-signature"))
	ours := http.Header{alotwebhook.SignatureHeader: {alotwebhook.Sign(body, receiverSecret)}}
	for name, h := range map[string]http.Header{"theirs": theirs, "ours": ours} {
		var err error
		require.Zero(t, allocations(func() {
			_, e := v.VerifyHeader(body, h)
			err = errors.Join(err, e)
		}), name)
		require.NoError(t, err)
	}
}

func TestDispatcherSendsStandardHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &receivers{respond: func(_ *http.Request, n int) (*http.Response, error) {
			if n == 1 {
				return status(http.StatusInternalServerError), nil
			}
			return status(http.StatusNoContent), nil
		}}
		w := newWorld(t, alotwebhook.Config{StandardWebhooks: true}, net)
		e := w.endpoint(t, "a.test")
		defer w.run(t)()
		event := w.emit(t)
		time.Sleep(time.Minute)

		seen := net.requests()
		require.Len(t, seen, 2)
		for _, r := range seen {
			require.Equal(t, []string{event.ID}, r.head["Webhook-Id"], "the same over attempts")
			require.Equal(t, []string{strconv.FormatInt(r.at.Unix(), 10)}, r.head["Webhook-Timestamp"], "the attempt's own")
			require.Equal(t, []string{alotwebhook.SignStandard([]byte(r.body), event.ID, r.at, e.Secret)}, r.head["Webhook-Signature"])
			require.NoError(t, alotwebhook.Verify([]byte(r.body), r.head.Get("X-Alot-Signature"), e.Secret))
		}
		require.NotEqual(t, seen[0].head["Webhook-Signature"], seen[1].head["Webhook-Signature"])
	})
}

func TestDispatcherSendsNoStandardHeadersUnasked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, new(receivers))
		w.endpoint(t, "a.test")
		defer w.run(t)()
		w.emit(t)
		synctest.Wait()
		require.Len(t, w.net.requests(), 1)
		for name := range w.net.requests()[0].head {
			require.NotContains(t, name, "Webhook-")
		}
	})
}

// Between the order of a rotation and the time when it takes effect, a receiver with
// either secret accepts. Before that only the old secret is good, and after it only the new
// one.
func TestDispatcherSignsWithBothSecretsDuringRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{StandardWebhooks: true}, new(receivers))
		e := w.endpoint(t, "a.test")
		defer w.run(t)()
		next := alotwebhook.NewSecret()
		accepted := func() (accepted []alotwebhook.Secret) {
			before := len(w.net.requests())
			w.emit(t)
			time.Sleep(time.Minute)
			seen := w.net.requests()
			require.Len(t, seen, before+1)
			r := seen[before]
			for _, secret := range []alotwebhook.Secret{e.Secret, next} {
				v := standardVerifier(t, &alotwebhook.StandardConfig{Only: true}, secret)
				if _, err := v.VerifyHeader([]byte(r.body), r.head); err == nil {
					accepted = append(accepted, secret)
				}
			}
			return accepted
		}
		require.Equal(t, []alotwebhook.Secret{e.Secret}, accepted())
		_, err := w.RotateSecret(t.Context(), e.ID, next, time.Now().Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, []alotwebhook.Secret{e.Secret, next}, accepted())
		time.Sleep(time.Hour)
		require.Equal(t, []alotwebhook.Secret{next}, accepted())
	})
}
