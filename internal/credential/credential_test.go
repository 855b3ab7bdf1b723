package credential_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/credential"
	"github.com/alot/alotwebhook/internal/guard"
)

const value = "hunter2-of-the-header"

// box marks what it seals, so that the tests see what is sealed and what is not.
func box() credential.Box {
	return credential.NewBox("wh_1", func() (seal, open func(id, text string) (string, error)) {
		seal = func(id, text string) (string, error) { return "sealed:" + id + ":" + reversed(text), nil }
		open = func(id, text string) (string, error) {
			rest, ok := strings.CutPrefix(text, "sealed:"+id+":")
			if !ok {
				return "", errors.New("does not open")
			}
			return reversed(rest), nil
		}
		return seal, open
	})
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

const url = "https://example.com/hook"

func headers(pairs ...string) (list []credential.Header) {
	list = []credential.Header{}
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, credential.Header{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

// apply makes a change that must be allowed.
func apply(t *testing.T, text string, c credential.Change) string {
	t.Helper()
	if c.URL == "" {
		c.URL = url
	}
	text, err := box().Apply(text, c)
	require.NoError(t, err)
	return text
}

func prepared(t *testing.T, text string) map[string][]string {
	t.Helper()
	h, _, err := box().Prepare(text, url)
	require.NoError(t, err)
	return h
}

func requireRefused(t *testing.T, text string, c credential.Change, field, says string) {
	t.Helper()
	if c.URL == "" {
		c.URL = url
	}
	_, err := box().Apply(text, c)
	refusal := (*guard.Refusal)(nil)
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, field, refusal.Field)
	require.Contains(t, refusal.Problem, says)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestHeadersAreKeptReplacedAndCleared(t *testing.T) {
	t.Parallel()
	require.Empty(t, apply(t, "", credential.Change{}))
	require.Empty(t, apply(t, "", credential.Change{Headers: headers()}))
	first := apply(t, "", credential.Change{Headers: headers("x-tenant", "<a&b>", "Authorization", value)})
	require.NotContains(t, first, value)
	require.NotContains(t, first, "<a&b>")
	require.Equal(t, []string{"x-tenant", "Authorization"}, credential.Read(first).Headers)
	require.Empty(t, credential.Read(first).Sealed)
	require.Equal(t, map[string][]string{"X-Tenant": {"<a&b>"}, "Authorization": {value}}, prepared(t, first))

	require.Equal(t, first, apply(t, first, credential.Change{}), "nil keeps them")
	require.Equal(t, first, apply(t, first, credential.Change{Headers: headers("x-tenant", "", "Authorization", "")}), "so does what was read")

	second := apply(t, first, credential.Change{Headers: headers("Authorization", "", "X-New", "new")})
	require.Equal(t, map[string][]string{"Authorization": {value}, "X-New": {"new"}}, prepared(t, second))
	require.False(t, credential.Read(first).SameHeaders(credential.Read(second)))
	third := apply(t, second, credential.Change{Headers: headers("Authorization", "", "X-New", "newer")})
	require.False(t, credential.Read(second).SameHeaders(credential.Read(third)), "a change of a value alone is one")
	require.True(t, credential.Read(second).SameCertificate(credential.Read(third)))
	require.Empty(t, apply(t, third, credential.Change{Headers: headers()}))

	requireRefused(t, first, credential.Change{Headers: headers("X-Other", "")}, "headers[0].value", "is empty")
	requireRefused(t, first, credential.Change{Headers: headers("Authorization", "", "Host", value)}, "headers[1].name", "Host")
	requireRefused(t, first, credential.Change{Headers: headers("X-A", value+"\n")}, "headers[0].value", "line break")
}

func TestNothingIsKeptForAnotherURL(t *testing.T) {
	t.Parallel()
	certificate := made(t, ecKey(t), time.Hour)
	both := apply(t, "", credential.Change{Headers: headers("X-A", value), Certificate: &certificate})
	moved := credential.Change{URL: "https://stranger.example.com/", Moved: true}
	requireRefused(t, both, moved, "headers", "another one")
	moved.Headers = headers("X-A", "")
	requireRefused(t, both, moved, "headers[0].value", "another one")
	moved.Headers = headers("X-A", "new")
	requireRefused(t, both, moved, "clientCertificate", "another one")
	moved.Certificate = new(string)
	text := apply(t, both, moved)
	h, as, err := box().Prepare(text, moved.URL)
	require.NoError(t, err)
	require.Nil(t, as)
	require.Equal(t, []string{"new"}, h["X-A"])
	require.Empty(t, apply(t, both, credential.Change{URL: moved.URL, Moved: true, Headers: headers(), Certificate: new(string)}))

	// Whoever has changed the URL behind the dispatcher's back gets nothing.
	_, _, err = box().Prepare(both, moved.URL)
	require.ErrorContains(t, err, "another URL")
	require.NotContains(t, err.Error(), value)
	requireRefused(t, both, credential.Change{URL: moved.URL, Headers: headers("X-A", "", "X-B", "b")}, "headers[0].value", "another one")
	requireRefused(t, both, credential.Change{URL: moved.URL, Certificate: new(string)}, "headers", "another one")
}

func TestDamagedTexts(t *testing.T) {
	t.Parallel()
	good := apply(t, "", credential.Change{Headers: headers("X-A", value)})
	for _, text := range []string{"{", "null", `{"sealed":"` + value + `"}`, strings.Replace(good, "wh_1", "wh_2", 1), good[:len(good)-9] + `"}`} {
		_, _, err := box().Prepare(text, url)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), value)
		_, err = box().Reseal(text)
		require.Error(t, err, text)
		require.Empty(t, credential.Read(text).Sealed)

		// They can be given again, or given up.
		again := apply(t, text, credential.Change{Headers: headers("X-B", "b")})
		require.Equal(t, map[string][]string{"X-B": {"b"}}, prepared(t, again))
		require.Empty(t, apply(t, text, credential.Change{Headers: headers()}))
		_, err = box().Apply(text, credential.Change{URL: url, Headers: headers("X-A", "", "X-B", "b")})
		require.Error(t, err)
		require.NotContains(t, err.Error(), value)
	}
}

func TestResealKeepsAll(t *testing.T) {
	t.Parallel()
	certificate := made(t, ecKey(t), time.Hour)
	text := apply(t, "", credential.Change{Headers: headers("X-A", value), Certificate: &certificate})
	again, err := box().Reseal(text)
	require.NoError(t, err)
	require.Equal(t, text, again)
	require.True(t, strings.HasPrefix(credential.SealedPart(text), "sealed:wh_1:"))
	require.Empty(t, credential.SealedPart(""))
	for c, want := range map[*credential.Change]bool{
		{Headers: headers("X-A", value), Certificate: &certificate}: true,
		{Headers: headers("X-A", value)}:                            false,
		{Headers: headers("X-A", "v"), Certificate: &certificate}:   false,
		{}: false,
	} {
		holds, err := box().Holds(text, *c)
		require.NoError(t, err)
		require.Equal(t, want, holds)
	}
	holds, err := box().Holds("", credential.Change{})
	require.NoError(t, err)
	require.True(t, holds)
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// certificate returns a certificate for a key in PEM.
func certificate(t *testing.T, public, signer any, valid time.Duration) string {
	t.Helper()
	model := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "sender of org_1"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(valid),
	}
	der, err := x509.CreateCertificate(rand.Reader, model, model, public, signer)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func keyPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// made returns a certificate with its key.
func made(t *testing.T, key *ecdsa.PrivateKey, valid time.Duration) string {
	t.Helper()
	return "Bag Attributes: none\n" + certificate(t, &key.PublicKey, key, valid) + keyPEM(t, key)
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	key, other := ecKey(t), ecKey(t)
	good := made(t, key, time.Hour)
	text := apply(t, "", credential.Change{Certificate: &good})
	require.NotContains(t, text, "PRIVATE KEY")
	require.Equal(t, "CN=sender of org_1", credential.Read(text).Certificate.Subject)
	require.WithinDuration(t, time.Now().Add(time.Hour), credential.Read(text).Certificate.NotAfter, time.Hour/2)
	_, as, err := box().Prepare(text, url)
	require.NoError(t, err)
	require.Len(t, as.Certificate.Certificate, 1)
	require.Equal(t, text, apply(t, text, credential.Change{}))
	again := apply(t, text, credential.Change{Certificate: &good})
	require.False(t, credential.Read(text).SameCertificate(credential.Read(again)), "somebody gave it once more")
	require.Empty(t, apply(t, text, credential.Change{Certificate: new(string)}))
	require.Equal(t, text, apply(t, text, credential.Change{Read: true}))
	requireRefused(t, "", credential.Change{Read: true}, "clientCertificate", "none to keep")

	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	encrypted := strings.ReplaceAll(keyPEM(t, key), "PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
	for name, tc := range map[string]struct{ pem, says string }{
		"no PEM":         {"hunter2", "has no certificate"},
		"no certificate": {keyPEM(t, key), "has no certificate"},
		"no key":         {certificate(t, &key.PublicKey, key, time.Hour), "has no private key"},
		"two keys":       {good + keyPEM(t, other), "several private keys"},
		"encrypted":      {certificate(t, &key.PublicKey, key, time.Hour) + encrypted, "without a passphrase"},
		"other key":      {certificate(t, &key.PublicKey, key, time.Hour) + keyPEM(t, other), "does not fit together"},
		"no DER":         {"-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n" + keyPEM(t, key), "does not fit together"},
		"expired":        {made(t, key, -time.Hour), "has expired"},
		"weak":           {certificate(t, &weak.PublicKey, weak, time.Hour) + keyPEM(t, weak), "1024 bits"},
		"large":          {good + strings.Repeat("\n", 16<<10), "at most 16384"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireRefused(t, "", credential.Change{Certificate: &tc.pem}, "clientCertificate", tc.says)
		})
	}
}
