package main

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

const payload = `{"id":"evt_01jcc7wjz3e4qv8x5k2m9n6p0r","type":"candidate.completed","timestamp":"2026-05-25T14:23:00.000Z",` +
	`"organizationId":"org_123","data":{"candidateName":"Jane \"J\" Smith","tags":["<b>","a, b: c"],"score":82}}`

func TestVerifyAccepts(t *testing.T) {
	t.Parallel()
	signature := alotwebhook.Sign([]byte(payload), secret)
	for _, given := range []string{signature, "X-Alot-Signature: " + signature, "x-alot-signature:" + signature} {
		code, out, _ := run(t, payload, "verify", "--signature", given)
		require.Equal(t, exitOK, code)
		require.Equal(t, "verified: it is the signature of these 214 bytes\n- candidate.completed of org_123, evt_01jcc7wjz3e4qv8x5k2m9n6p0r\n", out)
	}
	code, out, _ := run(t, "", "verify", "--secret", helloSecret, "--signature", helloSignature, file(t, helloBody))
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "- but these bytes are no event: malformed event: the body is not a JSON object")
}

// Each usual mistake is named, and the right signature is never printed.
func TestVerifySaysWhy(t *testing.T) {
	t.Parallel()
	sign := func(body string) string { return alotwebhook.Sign([]byte(body), secret) }
	by := func(s string) string { return alotwebhook.Sign([]byte(payload), alotwebhook.Secret(s)) }
	right := sign(payload)
	digits := strings.TrimPrefix(right, "sha256=")
	sum, err := hex.DecodeString(digits)
	require.NoError(t, err)
	const text = string(secret)
	for name, c := range map[string]struct {
		body, signature string
		says            []string
	}{
		"missing":           {payload, "", []string{"not signed", "The signature is empty."}},
		"white space":       {payload, " " + right, []string{"malformed signature", "There is white space around the signature.", "Apart from its form, it is the right signature"}},
		"upper case":        {payload, "sha256=" + strings.ToUpper(digits), []string{"The hex is in upper case", "Apart from its form"}},
		"upper-case prefix": {payload, "SHA256=" + digits, []string{"The prefix must be lower case", "Apart from its form"}},
		"no prefix":         {payload, digits, []string{`has no "sha256=" in front`, "Apart from its form"}},
		"another algorithm": {payload, "sha1=" + digits[:40], []string{`The algorithm is "sha1"; it must be sha256.`}},
		"base64":            {payload, base64.StdEncoding.EncodeToString(sum), []string{"The signature is in base64", "Apart from its form"}},
		"several":           {payload, right + ",sha256=00", []string{"There are several signatures"}},
		"truncated":         {payload, right[:30], []string{"The signature has 23 of 64 digits: it was cut off."}},
		"too long":          {payload, right + "00", []string{"The signature has 66 digits, not 64."}},
		"no hex":            {payload, "sha256=" + strings.Repeat("xy", 32), []string{"characters that are not hex digits"}},
		"line end dropped":  {payload, sign(payload + "\n"), []string{"signature does not match", "this body with a line end after it", "--data-binary"}},
		"CR LF dropped":     {payload, sign(payload + "\r\n"), []string{"with CR LF after it"}},
		"line end added":    {payload + "\n", right, []string{"without the line end after it", "echo -n"}},
		"blank added":       {" " + payload, right, []string{"without the white space around it"}},
		"CR LF for LF":      {"{\r\n}", sign("{\n}"), []string{"with LF for line ends, not CR LF"}},
		"LF for CR LF":      {"{\n}", sign("{\r\n}"), []string{"with CR LF for line ends, not LF"}},
		"byte order mark":   {"\ufeff" + payload, right, []string{"without the byte order mark"}},
		"empty when signed": {payload, sign(""), []string{"the signature of an empty body"}},
		"empty now":         {"", right, []string{"The body is empty.", "the signature of another body"}},
		"compacted":         {strings.ReplaceAll(payload, `,"`, `, "`), right, []string{"the same JSON without white space", "Sign and verify the raw bytes."}},
		"indented":          {`{"a":[1,2]}`, sign("{\n  \"a\": [\n    1,\n    2\n  ]\n}"), []string{"the same JSON with indentation"}},
		"by json.dumps": {payload, sign(`{"id": "evt_01jcc7wjz3e4qv8x5k2m9n6p0r", "type": "candidate.completed", "timestamp": "2026-05-25T14:23:00.000Z", ` +
			`"organizationId": "org_123", "data": {"candidateName": "Jane \"J\" Smith", "tags": ["<b>", "a, b: c"], "score": 82}}`), []string{"as Python's json.dumps"}},
		"escaped":                {payload, sign(strings.NewReplacer("<", `\u003c`, ">", `\u003e`).Replace(payload)), []string{"with <, > and & escaped"}},
		"sorted":                 {`{"b":1,"a":2.50}`, sign(`{"a":2.50,"b":1}`), []string{"with sorted keys"}},
		"data alone":             {payload, sign(`{"candidateName":"Jane \"J\" Smith","tags":["<b>","a, b: c"],"score":82}`), []string{"the signature of data alone"}},
		"secret with a line end": {payload, by(text + "\n"), []string{"this secret and white space around it"}},
		"secret with blanks":     {payload, by(" " + text + " "), []string{"this secret and white space around it"}},
		"secret in quotes":       {payload, by(`"` + text + `"`), []string{"other quotation marks"}},
		"whsec_ before it":       {payload, by("whsec_" + text), []string{"whsec_ before this secret"}},
		"another secret":         {payload, by("another"), []string{"It is the signature of another body, or it was made with another secret."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errors := run(t, c.body, "verify", "--signature", c.signature)
			require.Equal(t, exitFailed, code)
			require.True(t, strings.HasPrefix(out, "refused: "), "%s", out)
			for _, says := range c.says {
				require.Contains(t, out, says)
			}
			require.Empty(t, errors)
			require.NotContains(t, strings.ToLower(out), strings.TrimPrefix(sign(c.body), "sha256=")[:12])
			require.NotContains(t, out, text)
		})
	}
}

// The secret that the dispatcher generates is often mistaken for its base64.
func TestVerifyKnowsGeneratedSecrets(t *testing.T) {
	t.Parallel()
	own := "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	for key, says := range map[string]string{
		"0123456789abcdef0123456789abcdef": "the bytes that this secret encodes in base64",
		strings.TrimPrefix(own, "whsec_"):  "this secret without whsec_",
	} {
		code, out, _ := run(t, payload, "verify", "--secret", own, "--signature", alotwebhook.Sign([]byte(payload), alotwebhook.Secret(key)))
		require.Equal(t, exitFailed, code)
		require.Contains(t, out, says)
	}
}

// No input makes diagnose fail, be silent, or give the right signature away.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(payload), "sha256="+strings.Repeat("0", 64))
	f.Add([]byte("{}\r\n"), "sha1=")
	f.Add([]byte(`{"data":1}`), strings.Repeat("=", 44))
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		hints := diagnose(body, signature, secret)
		if alotwebhook.Verify(body, signature, secret) != nil && len(hints) == 0 {
			t.Fatal("no word of why")
		}
		right := strings.TrimPrefix(alotwebhook.Sign(body, secret), "sha256=")
		if !strings.Contains(strings.ToLower(signature), right) && strings.Contains(strings.Join(hints, "\n"), right) {
			t.Fatal("it says the right signature")
		}
	})
}
