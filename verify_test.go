package alotwebhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func referenceSign(body []byte, secret alotwebhook.Secret) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write(body)
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

// referenceVerify is the verifier that the published contract shows.
func referenceVerify(body []byte, signature string, secret alotwebhook.Secret) bool {
	want := referenceSign(body, secret)
	if len(signature) != len(want) {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(signature), []byte(want)) == 1
}

// signatureCases returns good and bad values of the header for a body and a secret, with
// the error that each must lead to.
func signatureCases(body []byte, secret alotwebhook.Secret) map[string]struct {
	signature string
	err       error
} {
	good := referenceSign(body, secret)
	digits := strings.TrimPrefix(good, "sha256=")
	flipped := "0"
	if strings.HasSuffix(good, "0") {
		flipped = "1"
	}
	type c = struct {
		signature string
		err       error
	}
	return map[string]c{
		"good":                 {good, nil},
		"empty":                {"", alotwebhook.ErrNotSigned},
		"upper-case hex":       {"sha256=" + strings.ToUpper(digits), alotwebhook.ErrMalformedSignature},
		"upper-case prefix":    {"SHA256=" + digits, alotwebhook.ErrMalformedSignature},
		"no prefix":            {digits, alotwebhook.ErrMalformedSignature},
		"prefix alone":         {"sha256=", alotwebhook.ErrMalformedSignature},
		"part of the prefix":   {"sha2", alotwebhook.ErrMalformedSignature},
		"other algorithm":      {"sha1=" + digits, alotwebhook.ErrMalformedSignature},
		"same length, sha512":  {"sha512=" + digits, alotwebhook.ErrMalformedSignature},
		"blank in front":       {" " + good, alotwebhook.ErrMalformedSignature},
		"blank behind":         {good + " ", alotwebhook.ErrMalformedSignature},
		"line end":             {good + "\n", alotwebhook.ErrMalformedSignature},
		"blank after the sign": {"sha256= " + digits[1:], alotwebhook.ErrMalformedSignature},
		"truncated":            {good[:len(good)-2], alotwebhook.ErrMalformedSignature},
		"half":                 {good[:7+32], alotwebhook.ErrMalformedSignature},
		"odd":                  {good[:len(good)-1], alotwebhook.ErrMalformedSignature},
		"longer":               {good + "00", alotwebhook.ErrMalformedSignature},
		"several":              {good + "," + good, alotwebhook.ErrMalformedSignature},
		"several, first bad":   {"sha256=" + strings.Repeat("0", 64) + "," + good, alotwebhook.ErrMalformedSignature},
		"not hex":              {"sha256=" + digits[:63] + "g", alotwebhook.ErrMalformedSignature},
		"NUL":                  {"sha256=" + digits[:63] + "\x00", alotwebhook.ErrMalformedSignature},
		"not ASCII":            {"sha256=" + digits[:62] + "é", alotwebhook.ErrMalformedSignature},
		"another MAC":          {"sha256=" + strings.Repeat("0", 64), alotwebhook.ErrSignatureMismatch},
		"last digit":           {good[:len(good)-1] + flipped, alotwebhook.ErrSignatureMismatch},
		"signed with nothing":  {referenceSign(body, ""), alotwebhook.ErrSignatureMismatch},
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	const secret alotwebhook.Secret = "your-signing-secret"
	body := []byte(`{"id":"evt_1"}`)
	verifier, err := alotwebhook.NewVerifier("another", secret)
	require.NoError(t, err)
	for name, c := range signatureCases(body, secret) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.err == nil, referenceVerify(body, c.signature, secret))
			// The error must be the sentinel itself: a wrapped one could carry a MAC.
			require.Equal(t, c.err, alotwebhook.Verify(body, c.signature, secret))
			require.Equal(t, c.err, verifier.Verify(body, c.signature))
		})
	}
}

func TestVerifyReadsEveryByteOfTheBody(t *testing.T) {
	t.Parallel()
	const secret alotwebhook.Secret = "your-signing-secret"
	body := []byte(`{"id":"evt_1"}`)
	signature := alotwebhook.Sign(body, secret)
	require.ErrorIs(t, alotwebhook.Verify(append(body, '\n'), signature, secret), alotwebhook.ErrSignatureMismatch)
	require.ErrorIs(t, alotwebhook.Verify(nil, signature, secret), alotwebhook.ErrSignatureMismatch)
	for i := range body {
		changed := []byte(string(body))
		changed[i] ^= 1
		require.ErrorIs(t, alotwebhook.Verify(changed, signature, secret), alotwebhook.ErrSignatureMismatch)
	}
}

func TestVerifyRefusesTheEmptySecret(t *testing.T) {
	t.Parallel()
	body := []byte("body")
	require.Equal(t, alotwebhook.ErrNoSecret, alotwebhook.Verify(body, referenceSign(body, ""), ""))
	require.Equal(t, alotwebhook.ErrNoSecret, alotwebhook.Verify(body, "", ""))
	var none *alotwebhook.Verifier
	require.Equal(t, alotwebhook.ErrNoSecret, none.Verify(body, referenceSign(body, "")))
	require.Equal(t, alotwebhook.ErrNoSecret, new(alotwebhook.Verifier).Verify(body, referenceSign(body, "")))
}

func TestVerifyMatch(t *testing.T) {
	t.Parallel()
	body := []byte("body")
	secrets := []alotwebhook.Secret{"old", "new", strings64("x"), "new"}
	verifier, err := alotwebhook.NewVerifier(secrets...)
	require.NoError(t, err)
	secrets[0] = "changed by the caller"
	for secret, want := range map[alotwebhook.Secret]int{"old": 0, "new": 1, strings64("x"): 2, "gone": -1} {
		index, err := verifier.VerifyMatch(body, alotwebhook.Sign(body, secret))
		require.Equal(t, want, index)
		require.Equal(t, want < 0, err != nil)
	}
	index, err := verifier.VerifyMatch(body, "sha256=")
	require.Equal(t, -1, index)
	require.ErrorIs(t, err, alotwebhook.ErrMalformedSignature)
}

func strings64(s string) alotwebhook.Secret { return alotwebhook.Secret(strings.Repeat(s, 64)) }

func TestNewVerifierRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		secrets []alotwebhook.Secret
		field   string
	}{
		"none":           {nil, "secrets"},
		"empty":          {[]alotwebhook.Secret{""}, "secrets[0]"},
		"second empty":   {[]alotwebhook.Secret{"s3cret", ""}, "secrets[1]"},
		"blank":          {[]alotwebhook.Secret{" \t"}, "secrets[0]"},
		"line end":       {[]alotwebhook.Secret{"s3cret\n"}, "secrets[0]"},
		"CRLF":           {[]alotwebhook.Secret{"s3cret", "s3cret\r\n"}, "secrets[1]"},
		"blank in front": {[]alotwebhook.Secret{" s3cret"}, "secrets[0]"},
		"no-break space": {[]alotwebhook.Secret{"s3cret\u00a0"}, "secrets[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := alotwebhook.NewVerifier(c.secrets...)
			require.Nil(t, v)
			require.ErrorIs(t, err, alotwebhook.ErrInvalid)
			var field *alotwebhook.FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, c.field, field.Field)
			require.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func TestVerifyAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector a sync.Pool drops things at random")
	}
	if !alone(t) {
		return
	}
	body := []byte(strings.Repeat("x", 300))
	long := strings64("long")
	verifier, err := alotwebhook.NewVerifier("old", long)
	require.NoError(t, err)
	for name, c := range signatureCases(body, long) {
		require.Zero(t, allocations(func() {
			_ = alotwebhook.Verify(body, c.signature, long)
			_ = verifier.Verify(body, c.signature)
			_, _ = verifier.VerifyMatch(body, c.signature)
		}), name)
	}
}

func FuzzVerify(f *testing.F) {
	for _, secret := range []alotwebhook.Secret{"", "s", strings64("long")} {
		for _, c := range signatureCases([]byte("body"), secret) {
			f.Add([]byte("body"), c.signature, string(secret))
		}
	}
	for _, c := range signatureFile(f) {
		f.Add(c.body(), c.Signature, c.Secret)
	}
	f.Fuzz(func(t *testing.T, body []byte, signature, secret string) {
		s := alotwebhook.Secret(secret)
		require.Equal(t, referenceSign(body, s), alotwebhook.Sign(body, s))
		for _, signature := range []string{signature, referenceSign(body, s)} {
			err := alotwebhook.Verify(body, signature, s)
			require.Equal(t, secret != "" && referenceVerify(body, signature, s), err == nil)
		}
	})
}
