package alotwebhook_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func TestNewSecret(t *testing.T) {
	t.Parallel()
	a, b := alotwebhook.NewSecret(), alotwebhook.NewSecret()
	require.NotEqual(t, string(a), string(b))
	text, ok := strings.CutPrefix(string(a), "whsec_")
	require.True(t, ok)
	random, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	require.Len(t, random, 32)
}

func TestSecretNeverShows(t *testing.T) {
	t.Parallel()
	const secret alotwebhook.Secret = "hunter2"
	verifier, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	holder := struct {
		Secret     alotwebhook.Secret
		Of         map[alotwebhook.Secret]alotwebhook.Secret `json:"-"`
		V          *alotwebhook.Verifier
		unexported alotwebhook.Verifier
	}{secret, map[alotwebhook.Secret]alotwebhook.Secret{secret: secret}, verifier, *verifier}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10.3v", "%!"} {
		fmt.Fprintf(&out, verb+"\n", secret)
		fmt.Fprintf(&out, verb+"\n", verifier)
		fmt.Fprintf(&out, verb+"\n", *verifier)
		fmt.Fprintf(&out, verb+"\n", holder)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("all", "secret", secret, "verifier", verifier, "holder", holder)
	}
	require.NoError(t, json.NewEncoder(&out).Encode(map[string]any{"s": secret, "v": verifier}))
	require.NoError(t, xml.NewEncoder(&out).Encode(secret))
	fmt.Fprint(&out, secret.String(), secret.GoString(), verifier)

	require.NotContains(t, out.String(), "hunter2")
	require.NotContains(t, out.String(), hex.EncodeToString([]byte("hunter2")))
	require.NotContains(t, strings.ToLower(out.String()), hex.EncodeToString([]byte("hunter2")))
	require.Contains(t, out.String(), "[REDACTED]")
	require.Contains(t, out.String(), "1 secrets")
}

func TestSecretIsReadFromJSON(t *testing.T) {
	t.Parallel()
	var in struct{ Secret alotwebhook.Secret }
	require.NoError(t, json.Unmarshal([]byte(`{"secret":"hunter2"}`), &in))
	require.Equal(t, "hunter2", string(in.Secret))
}
