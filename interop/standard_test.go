package interop_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

const eventID = "evt_01jcc7wjz3e4qv8x5k2m9n6p0r"

// secrets are secrets of every form that an endpoint can have.
var secrets = map[string]alotwebhook.Secret{
	"made here":       alotwebhook.NewSecret(),
	"without padding": "whsec_" + alotwebhook.Secret(strings.TrimRight(string(alotwebhook.NewSecret()[len("whsec_"):]), "=")),
	"short":           "sixteen letters.",
	"chosen":          "your-signing-secret",
	"not ASCII":       "Пароль, été, 秘密, 🔑",
	"longer":          alotwebhook.Secret(strings.Repeat("longer than a block, ", 12) + "."),
	"not base64":      "whsec_not base64!",
	"a library's own": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}

// bodies are texts that are signed.
var bodies = map[string]string{
	"an event":  `{"id":"` + eventID + `","type":"candidate.completed","timestamp":"2026-05-25T14:23:00.000Z","organizationId":"org_123","data":{"score":82}}`,
	"not ASCII": `{"candidateName":"Zoë 李 🎉 <&>"}`,
	"dots":      "1.2.3",
	"empty":     "",
	"line end":  "{}\r\n",
}

func header(id string, at time.Time, signature string) http.Header {
	h := http.Header{}
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return h
}

// verifierOf returns our verifier.
func verifierOf(t testing.TB, secret alotwebhook.Secret) *alotwebhook.Verifier {
	t.Helper()
	v, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	return v.AcceptStandard(&alotwebhook.StandardConfig{Only: true})
}

// libraryOf returns the library's verifier.
func libraryOf(t testing.TB, secret alotwebhook.Secret) *standardwebhooks.Webhook {
	t.Helper()
	library, err := standardwebhooks.NewWebhook(string(secret.Standard()))
	require.NoError(t, err)
	return library
}

func TestGoLibrary(t *testing.T) {
	t.Parallel()
	for secretName, secret := range secrets {
		library, ours := libraryOf(t, secret), verifierOf(t, secret)
		for bodyName, body := range bodies {
			t.Run(secretName+", "+bodyName, func(t *testing.T) {
				t.Parallel()
				now := time.Now()
				theirs, err := library.Sign(eventID, now, []byte(body))
				require.NoError(t, err)
				require.Equal(t, theirs, alotwebhook.SignStandard([]byte(body), eventID, now, secret))
				require.NoError(t, library.Verify([]byte(body), header(eventID, now, theirs)))
				_, err = ours.VerifyHeader([]byte(body), header(eventID, now, theirs))
				require.NoError(t, err)
			})
		}
	}
}

// The library takes a secret of NewSecret unchanged.
func TestGoLibraryTakesOurSecret(t *testing.T) {
	t.Parallel()
	secret, now, body := alotwebhook.NewSecret(), time.Now(), []byte(bodies["an event"])
	library, err := standardwebhooks.NewWebhook(string(secret))
	require.NoError(t, err)
	require.NoError(t, library.Verify(body, header(eventID, now, alotwebhook.SignStandard(body, eventID, now, secret))))
}

// Both sides accept the same requests, and refuse the others for the same reasons.
func TestGoLibraryRefusesTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // where no time passes between signing and verifying
		const secret alotwebhook.Secret = "your-signing-secret"
		library, ours := libraryOf(t, secret), verifierOf(t, secret)
		body, now := []byte(bodies["an event"]), time.Now()
		sign := func(at time.Time) string { return alotwebhook.SignStandard(body, eventID, at, secret) }
		without := func(name string) http.Header {
			h := header(eventID, now, sign(now))
			h.Del(name)
			return h
		}
		for name, c := range map[string]struct {
			header       http.Header
			ours, theirs error
		}{
			"good":             {header(eventID, now, sign(now)), nil, nil},
			"good among three": {header(eventID, now, "v1a,x v1,"+strings.Repeat("A", 43)+"= "+sign(now)), nil, nil},
			"4 minutes old":    {header(eventID, now.Add(-4*time.Minute), sign(now.Add(-4*time.Minute))), nil, nil},
			"4 minutes ahead":  {header(eventID, now.Add(4*time.Minute), sign(now.Add(4*time.Minute))), nil, nil},
			"6 minutes old":    {header(eventID, now.Add(-6*time.Minute), sign(now.Add(-6*time.Minute))), alotwebhook.ErrAttemptTooOld, standardwebhooks.ErrMessageTooOld},
			"6 minutes ahead":  {header(eventID, now.Add(6*time.Minute), sign(now.Add(6*time.Minute))), alotwebhook.ErrAttemptTooNew, standardwebhooks.ErrMessageTooNew},
			"another time":     {header(eventID, now.Add(time.Minute), sign(now)), alotwebhook.ErrSignatureMismatch, standardwebhooks.ErrNoMatchingSignature},
			"another id":       {header("evt_2", now, sign(now)), alotwebhook.ErrSignatureMismatch, standardwebhooks.ErrNoMatchingSignature},
			"another version":  {header(eventID, now, "v2"+sign(now)[2:]), alotwebhook.ErrMalformedSignature, standardwebhooks.ErrNoMatchingSignature},
			"truncated":        {header(eventID, now, sign(now)[:20]), alotwebhook.ErrMalformedSignature, standardwebhooks.ErrNoMatchingSignature},
			"no id":            {without("webhook-id"), alotwebhook.ErrNotSigned, standardwebhooks.ErrRequiredHeaders},
			"no timestamp":     {without("webhook-timestamp"), alotwebhook.ErrNotSigned, standardwebhooks.ErrRequiredHeaders},
			"no signature":     {without("webhook-signature"), alotwebhook.ErrNotSigned, standardwebhooks.ErrRequiredHeaders},
		} {
			_, err := ours.VerifyHeader(body, c.header)
			require.ErrorIs(t, err, c.ours, name)
			require.ErrorIs(t, library.Verify(body, c.header), c.theirs, name)
		}
	})
}

// The library accepts every request that we accept. The reverse does not hold: we accept
// only one spelling of the time, no dot in the id, and each header once.
func FuzzAgainstGoLibrary(f *testing.F) {
	const secret alotwebhook.Secret = "your-signing-secret"
	library, ours := libraryOf(f, secret), verifierOf(f, secret)
	for _, body := range bodies {
		f.Add([]byte(body), eventID, "1779719000", "v1,x", "")
		f.Add([]byte(body), "a.b", "+1", "", "v1,"+strings.Repeat("A", 43)+"=,x")
	}
	f.Fuzz(func(t *testing.T, body []byte, id, timestamp, before, after string) {
		now := time.Now()
		good := alotwebhook.SignStandard(body, id, now, secret)
		for _, h := range []http.Header{
			header(id, now, before+good+after),
			header(id, now, before+" "+good+" "+after),
			header(id, now, before),
			{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {good}},
		} {
			_, err := ours.VerifyHeader(body, h)
			if err == nil {
				require.NoError(t, library.Verify(body, h))
			}
		}
	})
}
