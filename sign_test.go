package alotwebhook_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// GitHub publishes this signature for the same scheme. Source: docs.github.com,
// "Validating webhook deliveries".
func TestSignKnownAnswer(t *testing.T) {
	t.Parallel()
	const want = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	body, secret := []byte("Hello, World!"), alotwebhook.Secret("It's a Secret to Everybody")
	require.Equal(t, want, alotwebhook.Sign(body, secret))
	require.NoError(t, alotwebhook.Verify(body, want, secret))
}

// The vectors are those of RFC 4231, section 4. Case 5 has only the first 128 bits of the
// MAC.
func TestSignRFC4231(t *testing.T) {
	t.Parallel()
	aa, key4 := strings.Repeat("\xaa", 131), "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19"
	for i, c := range []struct{ key, data, mac string }{
		{strings.Repeat("\x0b", 20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{strings.Repeat("\xaa", 20), strings.Repeat("\xdd", 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{key4, strings.Repeat("\xcd", 50), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
		{strings.Repeat("\x0c", 20), "Test With Truncation", "a3b6167473100ee06e0c796c2955552b"},
		{aa, "Test Using Larger Than Block-Size Key - Hash Key First", "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{aa, "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.", "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
	} {
		got := alotwebhook.Sign([]byte(c.data), alotwebhook.Secret(c.key))
		require.True(t, strings.HasPrefix(got, "sha256="+c.mac), "case %d", i+1)
		if len(c.mac) < 64 {
			err := alotwebhook.Verify([]byte(c.data), "sha256="+c.mac, alotwebhook.Secret(c.key))
			require.ErrorIs(t, err, alotwebhook.ErrMalformedSignature, "a truncated MAC")
		}
	}
}

func TestVerifyWycheproof(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/wycheproof/hmac_sha256_test.json")
	require.NoError(t, err)
	var file struct {
		NumberOfTests int
		TestGroups    []struct {
			TagSize int
			Tests   []struct {
				TcID                           int
				Comment, Key, Msg, Tag, Result string
			}
		}
	}
	require.NoError(t, json.Unmarshal(text, &file))
	ran := 0
	for _, g := range file.TestGroups {
		for _, c := range g.Tests {
			ran++
			key, err := hex.DecodeString(c.Key)
			require.NoError(t, err)
			msg, err := hex.DecodeString(c.Msg)
			require.NoError(t, err)
			err = alotwebhook.Verify(msg, "sha256="+c.Tag, alotwebhook.Secret(key))
			switch {
			case g.TagSize == 128: // a truncated MAC is refused, even if it is right
				require.ErrorIs(t, err, alotwebhook.ErrMalformedSignature, "test %d", c.TcID)
			case c.Result == "valid":
				require.NoError(t, err, "test %d", c.TcID)
				require.Equal(t, "sha256="+c.Tag, alotwebhook.Sign(msg, alotwebhook.Secret(key)), "test %d", c.TcID)
			default:
				require.ErrorIs(t, err, alotwebhook.ErrSignatureMismatch, "test %d: %s", c.TcID, c.Comment)
			}
		}
	}
	require.Equal(t, file.NumberOfTests, ran)
	require.Equal(t, 174, ran)
}

// In this mode, crypto/hmac panics for a key below 14 bytes.
func TestSignShortSecretUnderFIPS(t *testing.T) {
	t.Parallel()
	if os.Getenv("ALOTWEBHOOK_TEST_FIPS") != "" {
		fmt.Printf("signature %s\n", alotwebhook.Sign([]byte("body"), "short"))
		fmt.Printf("verified %v\n", alotwebhook.Verify([]byte("body"), alotwebhook.Sign([]byte("body"), "short"), "short"))
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSignShortSecretUnderFIPS$", "-test.v")
	cmd.Env = append(os.Environ(), "ALOTWEBHOOK_TEST_FIPS=1", "GODEBUG=fips140=only")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "signature "+referenceSign([]byte("body"), "short"))
	require.Contains(t, string(out), "verified <nil>")
}

func TestSignDoesNotRememberTheLastSecret(t *testing.T) {
	t.Parallel()
	long := alotwebhook.Secret(strings.Repeat("k", 200))
	for _, secret := range []alotwebhook.Secret{long, "k", long, "", "kk"} {
		require.Equal(t, referenceSign([]byte("body"), secret), alotwebhook.Sign([]byte("body"), secret))
	}
}
