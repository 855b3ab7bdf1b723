package webhooktest_test

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// wrong is a receiver with one fault.
type wrong struct {
	change func(p *parts)
	found  []string // the checks that must find it
	says   string   // a part of the first report
}

// wrongs are receivers with one fault each, as people have shipped them.
var wrongs = map[string]wrong{
	"verifies nothing": {
		func(p *parts) { p.verify = func(*http.Request, []byte) bool { return true } },
		[]string{"unsigned"},
		"sent a request without a signature: the response was 200 OK, and the event was handled once",
	},
	"verifies only what is signed": {
		func(p *parts) {
			right := p.verify
			p.verify = func(r *http.Request, body []byte) bool {
				return r.Header[alotwebhook.SignatureHeader] == nil || right(r, body)
			}
		},
		[]string{"unsigned"}, "without a signature: the response was 200",
	},
	"takes an empty secret, too": {
		func(p *parts) {
			right := p.verify
			p.verify = func(r *http.Request, body []byte) bool {
				return right(r, body) || signatureOf(r) == "sha256="+hex.EncodeToString(macOf(sha256.New, body, ""))
			}
		},
		[]string{"empty-secret"}, "signed with an empty secret: the response was 200",
	},
	"compares as far as the shorter goes": {
		func(p *parts) {
			p.verify = func(r *http.Request, body []byte) bool {
				got := signatureOf(r)
				return got != "" && len(r.Header[alotwebhook.SignatureHeader]) == 1 && strings.HasPrefix(alotwebhook.Sign(body, secret), got)
			}
		},
		[]string{"truncated"}, "with half of its signature: the response was 200",
	},
	"slices the header": {
		func(p *parts) {
			right := p.verify
			p.verify = func(r *http.Request, body []byte) bool {
				if len(r.Header[alotwebhook.SignatureHeader]) == 1 && signatureOf(r) != "" {
					_ = signatureOf(r)[:7]
				}
				return right(r, body)
			}
		},
		[]string{"truncated"}, "whose signature is a single letter: the handler panicked: runtime error: slice bounds out of range",
	},
	"decodes the hex": {
		func(p *parts) {
			right := p.verify
			p.verify = func(r *http.Request, body []byte) bool {
				sum, err := hex.DecodeString(strings.TrimPrefix(signatureOf(r), "sha256="))
				one := len(r.Header[alotwebhook.SignatureHeader]) == 1 && strings.HasPrefix(signatureOf(r), "sha256=")
				return right(r, body) || err == nil && one && hmac.Equal(sum, macOf(sha256.New, body, string(secret)))
			}
		},
		[]string{"upper-case-hex"}, "in upper-case hex: the response was 200",
	},
	"lets the header choose the algorithm": {
		func(p *parts) {
			right := p.verify
			p.verify = func(r *http.Request, body []byte) bool {
				return right(r, body) || signatureOf(r) == "sha1="+hex.EncodeToString(macOf(sha1.New, body, string(secret)))
			}
		},
		[]string{"other-algorithm"}, "signed with sha1=: the response was 200",
	},
	"wants no prefix": {
		func(p *parts) {
			right := p.verify
			p.verify = func(r *http.Request, body []byte) bool {
				return right(r, body) || "sha256="+signatureOf(r) == alotwebhook.Sign(body, secret)
			}
		},
		[]string{"no-prefix"}, "whose signature has no prefix: the response was 200",
	},
	"takes the first of several headers": {
		func(p *parts) {
			p.verify = func(r *http.Request, body []byte) bool {
				return alotwebhook.Verify(body, signatureOf(r), secret) == nil
			}
		},
		[]string{"doubled-header"}, "with a second, wrong signature header: the response was 200",
	},
	"trims the signature": {
		func(p *parts) {
			p.verify = func(r *http.Request, body []byte) bool {
				return len(r.Header[alotwebhook.SignatureHeader]) == 1 &&
					alotwebhook.Verify(body, strings.TrimSpace(signatureOf(r)), secret) == nil
			}
		},
		[]string{"blanks-around"}, "with a space before its signature: the response was 200",
	},
	"trims the body": {
		func(p *parts) {
			right := p.verify
			p.verify = func(r *http.Request, body []byte) bool { return right(r, bytes.TrimSpace(body)) }
		},
		[]string{"white-space"}, "with a line end after it: the response was 401 Unauthorized; the status must be 2xx",
	},
	"encodes the body again": {
		func(p *parts) {
			right := p.verify
			p.verify = func(r *http.Request, body []byte) bool {
				var b bytes.Buffer
				return json.Compact(&b, body) == nil && right(r, b.Bytes())
			}
		},
		[]string{"re-encoded-body"}, "with a space in its JSON that was not signed: the response was 200",
	},
	"decodes numbers into floats": {
		func(p *parts) {
			right := p.verify
			p.verify = func(r *http.Request, body []byte) bool {
				var v struct {
					ID             json.RawMessage `json:"id"`
					Type           json.RawMessage `json:"type"`
					Timestamp      json.RawMessage `json:"timestamp"`
					OrganizationID json.RawMessage `json:"organizationId"`
					Data           struct {
						Big json.RawMessage `json:"big"`
					} `json:"data"`
				}
				var floats []float64
				if json.Unmarshal(body, &v) == nil && json.Unmarshal(v.Data.Big, &floats) == nil {
					again, err := json.Marshal(floats)
					body = bytes.Replace(body, v.Data.Big, again, 1)
					return err == nil && right(r, body)
				}
				return right(r, body)
			}
		},
		[]string{"big-numbers"}, "with large and oddly spelled numbers: the response was 401",
	},
	"refuses unknown fields": {
		func(p *parts) {
			p.parse = func(body []byte) (alotwebhook.Event, error) {
				e, err := alotwebhook.ParseEvent(body)
				if err != nil {
					return e, err
				}
				d := json.NewDecoder(bytes.NewReader(e.Data))
				d.DisallowUnknownFields()
				return e, d.Decode(new(alotwebhook.CandidateCompleted))
			}
		},
		[]string{"unknown-fields"},
		"with an unknown field in data: the response was 400",
	},
	"leaves the parsing to encoding/json": {
		func(p *parts) {
			p.parse = func(body []byte) (e alotwebhook.Event, err error) {
				var v struct {
					ID, Type, OrganizationID string
					Timestamp                time.Time
					Data                     json.RawMessage
				}
				err = json.Unmarshal(body, &v)
				return alotwebhook.Event{ID: v.ID, Type: v.Type, Data: v.Data}, err
			}
		},
		[]string{"not-json", "not-an-event", "duplicate-keys", "folded-keys"}, "sent a body that is not UTF-8, signed: the response was 200 OK; the status must be 4xx",
	},
	"folds the case of keys": {
		func(p *parts) {
			p.parse = func(body []byte) (alotwebhook.Event, error) {
				e, err := alotwebhook.ParseEvent(body)
				if err == nil || !strings.Contains(err.Error(), "in case only") {
					return e, err
				}
				var v struct{ ID, Type string }
				err = json.Unmarshal(body, &v)
				return alotwebhook.Event{ID: v.ID, Type: v.Type}, err
			}
		},
		[]string{"folded-keys"}, `with "ID" in place of "id": the response was 200 OK, and the event was handled once`,
	},
	"takes the last of keys in any case": {
		func(p *parts) {
			p.parse = func(body []byte) (alotwebhook.Event, error) {
				e, err := alotwebhook.ParseEvent(body)
				if err == nil || !bytes.Contains(body, []byte(`"id":`)) || !bytes.Contains(body, []byte(`"type":`)) {
					return e, err
				}
				var v struct{ ID, Type string }
				if dup := strings.Contains(err.Error(), "appears twice"); dup || json.Unmarshal(body, &v) != nil {
					return e, err
				}
				return alotwebhook.Event{ID: v.ID, Type: v.Type}, nil
			}
		},
		[]string{"not-an-event", "folded-keys"}, "sent an event with id null, signed: the response was 200 OK; the status must be 4xx",
	},
	"fails over what is no event": {
		func(p *parts) {
			p.parse = func(body []byte) (alotwebhook.Event, error) {
				e, err := alotwebhook.ParseEvent(body)
				if err != nil {
					panic("no event")
				}
				return e, nil
			}
		},
		[]string{"not-json"}, "sent a body that is not JSON, signed: the handler panicked: no event; the status must be 4xx",
	},
	"reads without a limit": {
		func(p *parts) {
			p.read = func(_ http.ResponseWriter, r *http.Request) ([]byte, int) {
				body, _ := io.ReadAll(r.Body)
				return body, 0
			}
		},
		[]string{"oversized"}, "of 307201 bytes: the response was 200 OK, and the event was handled once",
	},
	"limits by Content-Length alone": {
		func(p *parts) {
			p.read = func(_ http.ResponseWriter, r *http.Request) ([]byte, int) {
				if r.ContentLength > bodyLimit {
					return nil, http.StatusRequestEntityTooLarge
				}
				body, _ := io.ReadAll(r.Body)
				return body, 0
			}
		},
		[]string{"oversized"}, "without Content-Length: the response was 200 OK, and the event was handled once",
	},
	"cuts the body off": {
		func(p *parts) {
			p.read = func(_ http.ResponseWriter, r *http.Request) ([]byte, int) {
				body, _ := io.ReadAll(io.LimitReader(r.Body, bodyLimit))
				return body, 0
			}
		},
		[]string{"oversized"}, "the response was 401 Unauthorized, as if the signature were wrong; the status must be 413",
	},
	"has too low a limit": {
		func(p *parts) {
			p.read = func(w http.ResponseWriter, r *http.Request) ([]byte, int) {
				body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
				if err != nil {
					return nil, http.StatusRequestEntityTooLarge
				}
				return body, 0
			}
		},
		[]string{"largest-payload"}, "of 256 KiB: the response was 413",
	},
	"inflates before it verifies": {
		func(p *parts) {
			right := p.read
			p.encoded = func(*http.Request) bool { return false }
			p.read = func(w http.ResponseWriter, r *http.Request) ([]byte, int) {
				if r.Header.Get("Content-Encoding") == "gzip" {
					z, err := gzip.NewReader(r.Body)
					if err != nil {
						return nil, http.StatusBadRequest
					}
					r.Body = io.NopCloser(z)
				}
				return right(w, r)
			}
		},
		[]string{"gzip"}, "with a signature over the plain bytes: the response was 200",
	},
	"takes any method": {
		func(p *parts) { p.method = func(*http.Request) bool { return true } },
		[]string{"method"}, "by PUT: the response was 200",
	},
	"fails over unknown types": {
		func(p *parts) {
			right := p.handle
			p.handle = func(r *http.Request, e alotwebhook.Event) int {
				if e.Type != alotwebhook.EventCandidateCompleted {
					return http.StatusInternalServerError
				}
				return right(r, e)
			}
		},
		[]string{"unknown-type"}, "of type webhooktest.unheard_of: the response was 500",
	},
	"wants fresh timestamps": {
		func(p *parts) {
			right := p.handle
			p.handle = func(r *http.Request, e alotwebhook.Event) int {
				if time.Since(e.Timestamp) > 5*time.Minute {
					return http.StatusBadRequest
				}
				return right(r, e)
			}
		},
		[]string{"old-event"}, "that happened 168h0m0s ago: the response was 400",
	},
	"believes the unsigned type": {
		func(p *parts) {
			right := p.handle
			p.handle = func(r *http.Request, e alotwebhook.Event) int {
				e.Type = r.Header.Get(alotwebhook.EventHeader)
				return right(r, e)
			}
		},
		[]string{"unsigned-headers"}, "without the unsigned headers: the response was 200 OK, and the event was not handled; it must be handled once",
	},
	"acts on every delivery": {
		func(p *parts) {
			p.handle = func(_ *http.Request, e alotwebhook.Event) int {
				p.act(e.ID)
				return http.StatusOK
			}
		},
		[]string{"replay"}, "for the second time: the response was 200 OK, and the event was handled twice",
	},
	"refuses duplicates": {
		func(p *parts) {
			right := p.handle
			p.handle = func(r *http.Request, e alotwebhook.Event) int {
				if p.handled(e.ID) > 0 {
					return http.StatusConflict
				}
				return right(r, e)
			}
		},
		[]string{"replay"}, "for the second time: the response was 409 Conflict; the status must be 2xx",
	},
	"remembers delivery ids": {
		func(p *parts) {
			seen := &desk{}
			p.handle = func(r *http.Request, e alotwebhook.Event) int {
				id := r.Header.Get(alotwebhook.DeliveryHeader)
				if seen.handled(id) == 0 && e.Type == alotwebhook.EventCandidateCompleted {
					seen.act(id)
					p.act(e.ID)
				}
				return http.StatusOK
			}
		},
		[]string{"duplicate"}, "again under another X-Alot-Delivery: the response was 200 OK, and the event was handled twice",
	},
	"looks first and stores later": {
		func(p *parts) {
			p.handle = func(r *http.Request, e alotwebhook.Event) int {
				if p.handled(e.ID) == 0 && e.Type == alotwebhook.EventCandidateCompleted {
					time.Sleep(time.Second) // of faked time
					p.act(e.ID)
				}
				return http.StatusOK
			}
		},
		[]string{"concurrent-duplicate"}, "8 times at once and then once more: the response was 200 OK, and the event was handled 8 times",
	},
	"is gone for a duplicate at work": {
		func(p *parts) {
			busy := make(chan struct{}, 1)
			p.handle = func(r *http.Request, e alotwebhook.Event) int {
				select {
				case busy <- struct{}{}:
					defer func() { <-busy }()
				default:
					return http.StatusGone
				}
				time.Sleep(time.Second) // of faked time
				p.actOnce(e.ID)
				return http.StatusOK
			}
		},
		[]string{"concurrent-duplicate"}, "8 times at once: for one of them, the response was 410 Gone",
	},
	"works before it responds": {
		func(p *parts) {
			right := p.handle
			p.handle = func(r *http.Request, e alotwebhook.Event) int {
				time.Sleep(20 * time.Second) // of faked time
				return right(r, e)
			}
		},
		[]string{"in-time"}, "there was no response to the first good event within 15s",
	},
	"tells the right signature": {
		func(p *parts) {
			p.refuse = func(w http.ResponseWriter, r *http.Request, body []byte) {
				http.Error(w, fmt.Sprintf("expected %X, got %q", macOf(sha256.New, body, string(secret)), signatureOf(r)), http.StatusUnauthorized)
			}
		},
		[]string{"leaks-nothing"}, "unsigned: the response contains the right signature",
	},
	"tells the beginning of the right signature": {
		func(p *parts) {
			p.refuse = func(w http.ResponseWriter, _ *http.Request, body []byte) {
				w.Header().Set("X-Want", alotwebhook.Sign(body, secret)[:24]+"…")
				w.WriteHeader(http.StatusUnauthorized)
			}
		},
		[]string{"leaks-nothing"}, "unsigned: the response contains the right signature, or a part of it",
	},
	"tells the secret": {
		func(p *parts) {
			p.refuse = func(w http.ResponseWriter, _ *http.Request, _ []byte) {
				http.Error(w, "not signed with "+string(secret), http.StatusUnauthorized)
			}
		},
		[]string{"leaks-nothing"}, "unsigned: the response contains the secret",
	},
	"has another secret": {
		func(p *parts) {
			p.verify = func(r *http.Request, body []byte) bool {
				lines := r.Header[alotwebhook.SignatureHeader]
				return len(lines) == 1 && alotwebhook.Verify(body, lines[0], secret+"\n") == nil
			}
		},
		[]string{"signed"}, "sent a good event: the response was 401 Unauthorized; the status must be 2xx",
	},
}

// Each fault is found by the checks that are about it, and by no others. A report says what
// was sent and what to change.
func TestWrongReceiversAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range wrongs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, c.requireFound)
		})
	}
}

// requireFound runs the battery against the receiver: the checks that are about its fault fail, and no others.
func (c wrong) requireFound(t *testing.T) {
	t.Helper()
	p := rightParts()
	c.change(p)
	spy := &recorder{TB: t}
	webhooktest.Battery{Secret: secret, Handled: p.handled, MaxBodyBytes: bodyLimit}.CheckReceiver(spy, p)
	require.Equal(t, c.found, spy.found(), "%s", strings.Join(spy.errors, "\n"))
	require.Contains(t, spy.errors[0], c.says)
	for _, e := range spy.errors {
		require.Contains(t, e, "\n    right:  ")
		require.Contains(t, e, "\n    change: ")
		require.NotContains(t, e, string(secret))
	}
}

func TestRightPartsPass(t *testing.T) {
	t.Parallel()
	p := rightParts()
	webhooktest.Battery{Secret: secret, Handled: p.handled}.CheckReceiver(t, p)
}

// If the response is a redirect, to a login for example, nothing else can be checked.
func TestRedirectIsFound(t *testing.T) {
	t.Parallel()
	spy := &recorder{TB: t}
	webhooktest.CheckReceiver(spy, http.RedirectHandler("/login", http.StatusFound), secret)
	require.Equal(t, []string{"signed"}, spy.found())
	require.Contains(t, spy.errors[0], "the response was 302 Found; the status must be 2xx")
	require.Contains(t, spy.errors[0], "a redirect is not followed")
}

// A receiver that never responds is reported after a single wait.
func TestHangingReceiverIsFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spy := &recorder{TB: t}
		webhooktest.CheckReceiver(spy, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), secret)
		require.Equal(t, []string{"in-time"}, spy.found())
		require.Contains(t, spy.errors[0], "there was no response to the first good event within 15s")
	})
}
