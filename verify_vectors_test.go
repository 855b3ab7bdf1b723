package alotwebhook_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// signatureCase is a case of testdata/signatures.json. The file is for verifiers in any
// language.
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
		require.False(t, names[c.Name], "%s appears twice", c.Name)
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

// These are mistakes that receivers make. For each, the file must have a case that finds
// it.
func TestSignatureCasesFindMistakes(t *testing.T) {
	t.Parallel()
	type verify = func(body []byte, signature string, secret alotwebhook.Secret) bool
	right := func(body []byte, signature string, secret alotwebhook.Secret) bool {
		return secret != "" && referenceVerify(body, signature, secret)
	}
	onSignature := func(change func(string) string) verify {
		return func(body []byte, signature string, secret alotwebhook.Secret) bool {
			return right(body, change(signature), secret)
		}
	}
	onBody := func(change func([]byte) []byte) verify {
		return func(body []byte, signature string, secret alotwebhook.Secret) bool {
			return right(change(body), signature, secret)
		}
	}
	for name, wrong := range map[string]verify{
		"accepts all":                func([]byte, string, alotwebhook.Secret) bool { return true },
		"refuses all":                func([]byte, string, alotwebhook.Secret) bool { return false },
		"takes an empty secret":      referenceVerify,
		"skips a missing signature":  func(b []byte, s string, k alotwebhook.Secret) bool { return s == "" || right(b, s, k) },
		"ignores case":               onSignature(strings.ToLower),
		"trims":                      onSignature(strings.TrimSpace),
		"cuts at a NUL":              onSignature(func(s string) string { return strings.TrimRight(s, "\x00") }),
		"adds the prefix":            onSignature(func(s string) string { return "sha256=" + strings.TrimPrefix(s, "sha256=") }),
		"takes any algorithm's name": onSignature(func(s string) string { _, digits, _ := strings.Cut(s, "="); return "sha256=" + digits }),
		"takes the first of several": onSignature(func(s string) string { first, _, _ := strings.Cut(s, ","); return first }),
		"takes the last of several":  onSignature(func(s string) string { return s[strings.LastIndex(s, ",")+1:] }),
		"compares the common part": func(b []byte, s string, k alotwebhook.Secret) bool {
			return k != "" && s != "" && strings.HasPrefix(referenceSign(b, k), s)
		},
		"compares the beginning": func(b []byte, s string, k alotwebhook.Secret) bool {
			return k != "" && strings.HasPrefix(s, referenceSign(b, k))
		},
		"decodes whsec_": func(b []byte, s string, k alotwebhook.Secret) bool {
			if key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(k), "whsec_")); err == nil {
				k = alotwebhook.Secret(key)
			}
			return right(b, s, k)
		},
		"takes ASCII secrets alone": func(b []byte, s string, k alotwebhook.Secret) bool {
			return right(b, s, alotwebhook.Secret(strings.ToValidUTF8(strings.Map(func(r rune) rune {
				if r > 127 {
					return '?'
				}
				return r
			}, string(k)), "?")))
		},
		"trims the body":      onBody(bytes.TrimSpace),
		"reads text":          onBody(func(b []byte) []byte { return []byte(strings.ToValidUTF8(string(b), "\uFFFD")) }),
		"drops a BOM":         onBody(func(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\ufeff")) }),
		"changes line ends":   onBody(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }),
		"reads 1,024 bytes":   onBody(func(b []byte) []byte { return b[:min(len(b), 1024)] }),
		"encodes again":       onBody(encodedAgain),
		"refuses empty texts": func(b []byte, s string, k alotwebhook.Secret) bool { return len(b) > 0 && right(b, s, k) },
	} {
		found := slices.ContainsFunc(signatureFile(t), func(c signatureCase) bool {
			return wrong(c.body(), c.Signature, alotwebhook.Secret(c.Secret)) != c.Accept
		})
		require.True(t, found, "no case finds a verifier that %s", name)
	}
}

func encodedAgain(body []byte) []byte {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return body
	}
	again, err := json.Marshal(v)
	if err != nil {
		return body
	}
	return again
}
