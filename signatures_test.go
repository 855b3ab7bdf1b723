package alotwebhook_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// signatureCase is one of testdata/signatures.json, which is there for verifiers
// in any language.
type signatureCase struct {
	Name, Secret, Body, Signature, Reason, Note string
	BodyBase64                                  []byte
	Accept                                      bool
}

func (c signatureCase) body() []byte {
	if c.BodyBase64 != nil {
		return c.BodyBase64
	}
	return []byte(c.Body)
}

func signatureFile(t testing.TB) []signatureCase {
	t.Helper()
	text, err := os.ReadFile("testdata/signatures.json")
	require.NoError(t, err)
	var file struct{ Cases []signatureCase }
	require.NoError(t, json.Unmarshal(text, &file))
	require.Greater(t, len(file.Cases), 100)
	return file.Cases
}

func TestSignatureCases(t *testing.T) {
	t.Parallel()
	reasons := map[string]error{
		"":                    nil,
		"no_secret":           alotwebhook.ErrNoSecret,
		"not_signed":          alotwebhook.ErrNotSigned,
		"malformed_signature": alotwebhook.ErrMalformedSignature,
		"signature_mismatch":  alotwebhook.ErrSignatureMismatch,
	}
	names, met := map[string]bool{}, map[string]bool{}
	for _, c := range signatureFile(t) {
		require.False(t, names[c.Name], "%s stands twice", c.Name)
		require.NotEmpty(t, c.Note, c.Name)
		names[c.Name], met[c.Reason] = true, true
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			want, ok := reasons[c.Reason]
			require.True(t, ok, c.Reason)
			require.Equal(t, c.Accept, want == nil)
			require.Equal(t, c.Accept, c.Secret != "" && referenceVerify(c.body(), c.Signature, alotwebhook.Secret(c.Secret)))
			require.Equal(t, want, alotwebhook.Verify(c.body(), c.Signature, alotwebhook.Secret(c.Secret)))
		})
	}
	require.Len(t, met, len(reasons), "every reason has a case")
}
