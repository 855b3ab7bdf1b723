package headerrules_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/headerrules"
)

const value = "hunter2-value"

func one(name string) []headerrules.Header { return []headerrules.Header{{Name: name, Value: value}} }

func TestRefusedNames(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		"":                       "empty",
		"Webhook-Id":             "sets itself",
		"webhook-SIGNATURE":      "sets itself",
		"Webhook_Timestamp":      "sets itself",
		"X-Alot-Signature":       "sets itself",
		"x_alot_event":           "sets itself",
		"X-Alot-Whatever":        "sets itself",
		"User-Agent":             "sets itself",
		"User_Agent":             "sets itself",
		"traceparent":            "sets itself",
		"Tracestate":             "sets itself",
		"Connection":             "connection",
		"Keep-Alive":             "connection",
		"TE":                     "connection",
		"Trailer":                "connection",
		"Transfer-Encoding":      "connection",
		"Transfer_Encoding":      "connection",
		"Upgrade":                "connection",
		"HTTP2-Settings":         "connection",
		"Proxy-Connection":       "connection",
		"Proxy-Authorization":    "connection",
		"Host":                   "how the request is sent",
		"Expect":                 "how the request is sent",
		"Accept-Encoding":        "how the request is sent",
		"Max-Forwards":           "how the request is sent",
		"Content-Length":         "the body",
		"Content-Type":           "the body",
		"content_encoding":       "the body",
		"Forwarded":              "comes from",
		"X-Forwarded-For":        "comes from",
		"X-Real-IP":              "comes from",
		"Via":                    "comes from",
		"Cookie":                 "browsers",
		"Set-Cookie":             "response",
		":authority":             "not the name of a header",
		"X Tenant":               "not the name of a header",
		"X-Tenant:":              "not the name of a header",
		"X-Tenant\r\nHost":       "not the name of a header",
		"X-Ten\x00ant":           "not the name of a header",
		"X-Zürich":               "not the name of a header",
		"(comment)":              "not the name of a header",
		strings.Repeat("a", 129): "129 bytes",
	} {
		part, problem := headerrules.Problem(append(one("X-Good"), headerrules.Header{Name: name, Value: value}))
		require.Equal(t, "[1].name", part, "%q", name)
		require.Contains(t, problem, says, "%q", name)
		require.NotContains(t, problem, value)
	}
}

func TestAllowedNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Authorization", "X-Tenant", "x-api-key", "Accept", "CF-Access-Client-Secret", "X-Webhook-Token", "X-GitHub-Event",
		"Contents", "Hosts", "!#$%&'*+-.^_`|~", strings.Repeat("a", 128),
	} {
		part, problem := headerrules.Problem(one(name))
		require.Empty(t, part+problem, name)
	}
}

func TestRefusedValues(t *testing.T) {
	t.Parallel()
	for value, says := range map[string]string{
		"":                  "is empty",
		"secret1\r\nX-A: b": "line break",
		"secret1\nb":        "line break",
		"secret1\rb":        "line break",
		"secret1\x00":       "visible ASCII",
		"secret1\x7f":       "visible ASCII",
		"secret1\tb":        "visible ASCII",
		"secret1 é":         "visible ASCII",
		"secret1\xff":       "visible ASCII",
		" secret1":          "blank",
		"secret1 ":          "blank",
		" ":                 "blank",
	} {
		part, problem := headerrules.Problem([]headerrules.Header{{Name: "X-A", Value: value}})
		require.Equal(t, "[0].value", part, "%q", value)
		require.Contains(t, problem, says, "%q", value)
		require.Contains(t, problem, `"X-A"`)
		require.NotContains(t, problem, "secret1")
	}
	part, problem := headerrules.Problem([]headerrules.Header{{Name: "X-A", Value: "a ~!\"\\ <>&'"}})
	require.Empty(t, part+problem)
}

func TestTwice(t *testing.T) {
	t.Parallel()
	for _, other := range []string{"X-Tenant", "x-tenant", "X_TENANT"} {
		part, problem := headerrules.Problem(append(one("X-Tenant"), one(other)...))
		require.Equal(t, "[1].name", part, other)
		require.Contains(t, problem, other)
		require.Contains(t, problem, "twice")
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	var list []headerrules.Header
	for i := range 10 {
		list = append(list, headerrules.Header{Name: "X-" + string(rune('A'+i)), Value: value})
	}
	part, problem := headerrules.Problem(list)
	require.Empty(t, part+problem)
	part, problem = headerrules.Problem(append(list, one("X-Z")...))
	require.Empty(t, part)
	require.Equal(t, "are 11; at most 10 are allowed", problem)

	fits := []headerrules.Header{{Name: "X-A", Value: strings.Repeat("v", 4096-3)}}
	part, problem = headerrules.Problem(fits)
	require.Empty(t, part+problem)
	fits[0].Value += "v"
	part, problem = headerrules.Problem(fits)
	require.Empty(t, part)
	require.Equal(t, "have 4097 bytes of names and values; at most 4096 are allowed", problem)
}

// The example is that of RFC 7617, section 2.
func TestBasic(t *testing.T) {
	t.Parallel()
	got, field, problem := headerrules.Basic("Aladdin", "open sesame")
	require.Equal(t, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", got)
	require.Empty(t, field+problem)
	for _, pair := range [][2]string{{"user", ""}, {"", "password"}, {"é", "p:w:d ü"}} {
		_, field, problem := headerrules.Basic(pair[0], pair[1])
		require.Empty(t, field+problem)
	}
	for pair, at := range map[[2]string]string{{"", ""}: "user", {"a:b", "c"}: "user", {"a\n", "c"}: "user", {"a", "c\x7f"}: "password"} {
		got, field, problem := headerrules.Basic(pair[0], pair[1])
		require.Empty(t, got)
		require.Equal(t, at, field)
		require.NotEmpty(t, problem)
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	got, problem := headerrules.Bearer("17|abc.def-_~+/=")
	require.Equal(t, "Bearer 17|abc.def-_~+/=", got)
	require.Empty(t, problem)
	for _, token := range []string{"", "Bearer abc", "abc\n", "a\x00", "é"} {
		got, problem := headerrules.Bearer(token)
		require.Empty(t, got)
		require.NotEmpty(t, problem)
	}
}
