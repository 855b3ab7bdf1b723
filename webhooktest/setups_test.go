package webhooktest_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// setups are the commonest ways in which a receiver is set up wrong. Each is one mistake, however many
// requests it handles wrongly, and so one finding.
var setups = map[string]struct {
	handler  http.Handler
	standard bool // with the headers of Standard Webhooks
	found    string
	says     []string // parts of the report
}{
	"a body parser in front": {
		handler: bodyParser(func(w http.ResponseWriter, _ any) { // the HMAC of an object throws
			w.WriteHeader(http.StatusInternalServerError)
		}),
		found: "raw-body",
		says:  []string{"500 Internal Server Error to a good event, and to one with a wrong signature", "express.json()"},
	},
	"the HMAC over the parsed body, encoded again": {
		handler: changed(func(p *parts) { verifiesAs(p, stringify) }),
		found:   "re-encoded-body",
		says:    []string{"with a space in its JSON that was not signed: the response was 200", "Verify the raw bytes"},
	},
	"the HMAC over json.dumps of the parsed body": {
		handler: changed(func(p *parts) {
			verifiesAs(p, func(body []byte) []byte {
				text := strings.ReplaceAll(string(stringify(body)), `":`, `": `)
				return []byte(strings.ReplaceAll(text, `,"`, `, "`))
			})
		}),
		found: "raw-body",
		says:  []string{"signed over the same JSON with a space after each comma and colon", "Verify the raw bytes"},
	},
	"the HMAC over a body that was read before": {
		handler: changed(func(p *parts) { verifiesAs(p, func([]byte) []byte { return nil }) }),
		found:   "raw-body",
		says:    []string{"signed over an empty body: the response was 200"},
	},
	"the HMAC over an object as text": {
		handler: changed(func(p *parts) { verifiesAs(p, func([]byte) []byte { return []byte("[object Object]") }) }),
		found:   "raw-body",
		says:    []string{`signed over "[object Object]": the response was 200`},
	},
	"a trimmed body": {
		handler: changed(func(p *parts) { verifiesAs(p, bytes.TrimSpace) }),
		found:   "white-space",
		says:    []string{"with a line end after it: the response was 401", "signed without the line end: the response was 200", "Verify the raw bytes", "a trim or strip"},
	},
	"a limit of 100 kB": {
		handler: changed(func(p *parts) {
			p.read = func(w http.ResponseWriter, r *http.Request) ([]byte, int) {
				body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 100<<10))
				if err != nil {
					return nil, http.StatusRequestEntityTooLarge
				}
				return body, 0
			}
		}),
		found: "largest-payload",
		says:  []string{"of 256 KiB: the response was 413 Request Entity Too Large", "100 kB"},
	},
	"bodies that are inflated in front": {
		handler: inflating(changed(func(p *parts) { p.encoded = func(*http.Request) bool { return false } })),
		found:   "gzip",
		says:    []string{"with a signature over the plain bytes: the response was 200", "inflate: false"},
	},
	"no check of the signature": {
		handler: changed(func(p *parts) { p.verify = func(*http.Request, []byte) bool { return true } }),
		found:   "unsigned",
		says:    []string{"without a signature: the response was 200 OK", "and one that another secret signed was accepted as well"},
	},
	"no check of the signature, of Standard Webhooks": {
		handler:  changed(func(p *parts) { p.verify = func(*http.Request, []byte) bool { return true } }),
		standard: true,
		found:    "standard-unsigned",
		says:     []string{"without a signature: the response was 200 OK", "and one that another secret signed was accepted as well"},
	},
	"another secret": {
		handler: changed(func(p *parts) {
			p.verify = func(r *http.Request, body []byte) bool {
				return alotwebhook.Verify(body, signatureOf(r), "another secret") == nil
			}
		}),
		found: "signed",
		says:  []string{"sent a good event: the response was 401 Unauthorized", "Is the secret the same on both sides"},
	},
	"a secret with a line end": {
		handler: changed(func(p *parts) {
			p.verify = func(r *http.Request, body []byte) bool {
				return alotwebhook.Verify(body, signatureOf(r), secret+"\n") == nil
			}
		}),
		found: "signed",
		says:  []string{"signed with the secret and a line end after it: the response was 200"},
	},
	"a protection against CSRF": {
		handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no token", http.StatusForbidden) }),
		found:   "signed",
		says:    []string{"the response was 403 Forbidden", "CSRF"},
	},
	"no tolerance for the signed time": {
		handler: changed(func(p *parts) {
			p.verify = func(r *http.Request, body []byte) bool {
				return standardVerifies(r, body)
			}
		}),
		standard: true,
		found:    "standard-stale",
		says:     []string{"signed an hour ago: the response was 200"},
	},
	"200 to everything": {
		handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }),
		found:   "any-request",
		says:    []string{"sent an unsigned text that is no JSON: the response was 200 OK", "page for every path"},
	},
	"a redirect": {
		handler: http.RedirectHandler("/alot/webhook/", http.StatusMovedPermanently),
		found:   "signed",
		says:    []string{"the response was 301 Moved Permanently", "a redirect is not followed"},
	},
	"another path": {
		handler: http.NotFoundHandler(),
		found:   "signed",
		says:    []string{"the response was 404 Not Found", "exactly this path"},
	},
	"a route for another method": {
		handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }),
		found:   "signed",
		says:    []string{"the response was 405 Method Not Allowed", "for POST"},
	},
	"a proxy without the receiver": {
		handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }),
		found:   "signed",
		says:    []string{"the response was 502 Bad Gateway", "proxy in front"},
	},
	"a balancer without a receiver": {
		handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }),
		found:   "signed",
		says:    []string{"the response was 503 Service Unavailable", "proxy in front"},
	},
	"a handler that fails": {
		handler: changed(func(p *parts) {
			p.handle = func(*http.Request, alotwebhook.Event) int { return http.StatusInternalServerError }
		}),
		found: "signed",
		says:  []string{"the response was 500 Internal Server Error", "the receiver's own log"},
	},
}

// One mistake is one finding, the right one.
func TestEachWrongSetUpIsOneFinding(t *testing.T) {
	t.Parallel()
	for name, c := range setups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spy := &recorder{TB: t}
			battery := webhooktest.Battery{Secret: secret, MaxBodyBytes: bodyLimit, StandardWebhooks: c.standard}
			battery.CheckReceiver(spy, c.handler)
			require.Equal(t, []string{c.found}, spy.found(), strings.Join(spy.errors, "\n"))
			for _, says := range c.says {
				require.Contains(t, spy.errors[0], says)
			}
			require.NotContains(t, spy.errors[0], string(secret))
		})
	}
}

// Data that is no object has no room for a long field: the largest payload is then filled up with white space.
func TestATrimmedBodyIsOneFindingWithAnyData(t *testing.T) {
	t.Parallel()
	spy := &recorder{TB: t}
	battery := webhooktest.Battery{Secret: secret, MaxBodyBytes: bodyLimit, Data: json.RawMessage(`[1]`)}
	battery.CheckReceiver(spy, setups["a trimmed body"].handler)
	require.Equal(t, []string{"white-space"}, spy.found(), strings.Join(spy.errors, "\n"))
}

// What was not made because of a finding says which finding that is.
func TestWhatFollowsFromAFindingIsNotMade(t *testing.T) {
	t.Parallel()
	for name, from := range map[string]string{
		"a body parser in front": "see raw-body", "the HMAC over the parsed body, encoded again": "see re-encoded-body",
		"no check of the signature": "see unsigned", "200 to everything": "see any-request", "a proxy without the receiver": "see signed",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			skipped := 0
			battery := webhooktest.Battery{Secret: secret, MaxBodyBytes: bodyLimit}
			for _, f := range battery.Check(t.Context(), served(setups[name].handler)) {
				if strings.Contains(f.Skipped, from) {
					require.True(t, f.OK())
					skipped++
				}
			}
			require.Greater(t, skipped, 3)
		})
	}
}

// A check that is left out hides nothing of what it would have explained.
func TestASkippedCauseHidesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		skip  string
		found []string
	}{
		"a body parser in front":                       {"raw-body", []string{"signed"}},
		"the HMAC over a body that was read before":    {"raw-body", []string{"signed"}},
		"the HMAC over the parsed body, encoded again": {"re-encoded-body", []string{"white-space", "big-numbers", "unicode", "tampered-body"}},
		"a trimmed body":                               {"white-space", []string{"tampered-body"}},
		"no check of the signature":                    {"unsigned", []string{"empty-signature", "wrong-secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spy := &recorder{TB: t}
			webhooktest.Battery{Secret: secret, MaxBodyBytes: bodyLimit, Skip: []string{c.skip}}.CheckReceiver(spy, setups[name].handler)
			require.Subset(t, spy.found(), c.found)
		})
	}
}

// changed returns a right receiver but for one change.
func changed(change func(*parts)) http.Handler {
	p := rightParts()
	right := p.verify
	p.verify = func(r *http.Request, body []byte) bool {
		if r.Header.Get(alotwebhook.StandardSignatureHeader) != "" {
			v, err := alotwebhook.NewVerifier(secret)
			if err != nil {
				return false
			}
			_, err = v.AcceptStandard(nil).VerifyHeader(body, r.Header)
			return err == nil
		}
		return right(r, body)
	}
	change(p)
	return p
}

// verifiesAs has a receiver verify another text than the body.
func verifiesAs(p *parts, text func(body []byte) []byte) {
	right := p.verify
	p.verify = func(r *http.Request, body []byte) bool { return right(r, text(body)) }
}

// standardVerifies verifies the signature of Standard Webhooks without a look at the clock.
func standardVerifies(r *http.Request, body []byte) bool {
	id, at := r.Header.Get(alotwebhook.StandardIDHeader), r.Header.Get(alotwebhook.StandardTimestampHeader)
	sum := macOf(sha256.New, []byte(id+"."+at+"."+string(body)), string(secret))
	for _, signature := range strings.Fields(r.Header.Get(alotwebhook.StandardSignatureHeader)) {
		if id != "" && at != "" && signature == "v1,"+base64.StdEncoding.EncodeToString(sum) {
			return true
		}
	}
	return false
}

// bodyParser parses JSON in front of a handler, and refuses what is none, as frameworks do.
func bodyParser(handle func(w http.ResponseWriter, body any)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body any
		if json.NewDecoder(r.Body).Decode(&body) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		handle(w, body)
	})
}

// inflating decompresses bodies in front of a handler.
func inflating(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			r.Body = io.NopCloser(z)
		}
		next.ServeHTTP(w, r)
	})
}

// stringify parses JSON and encodes it again as JavaScript does: the keys keep their order, and numbers
// lose what a float cannot hold. What is no JSON stays as it is.
func stringify(body []byte) []byte {
	var out bytes.Buffer
	if d := json.NewDecoder(bytes.NewReader(body)); respell(d, &out) != nil {
		return body
	}
	return out.Bytes()
}

func respell(d *json.Decoder, out *bytes.Buffer) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case json.Delim:
		out.WriteString(v.String())
		for n := 0; d.More(); n++ {
			if n > 0 {
				out.WriteByte(',')
			}
			if v == '{' {
				if err := respell(d, out); err != nil {
					return err
				}
				out.WriteByte(':')
			}
			if err := respell(d, out); err != nil {
				return err
			}
		}
		end, err := d.Token()
		fmt.Fprint(out, end)
		return err
	case float64:
		out.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
	default:
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		err = e.Encode(v)
		out.Truncate(out.Len() - 1) // the line end
	}
	return err
}

// served returns a function that sends requests to a handler in this process.
func served(h http.Handler) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result(), nil
	}
}
