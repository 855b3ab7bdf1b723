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
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// setups are the commonest ways in which a receiver is set up wrong. Each is one mistake, however many
// requests it handles wrongly, and so one finding.
var setups = map[string]struct {
	handler  http.Handler
	fresh    func() http.Handler // in place of handler, for one that remembers requests
	standard bool                // with the headers of Standard Webhooks
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
	"500 to a wrong signature": {
		handler: changed(func(p *parts) { p.refuse = refusesWith(http.StatusInternalServerError) }),
		found:   "unsigned",
		says:    []string{"without a signature: the response was 500", "It refuses the request, but a sender takes that for an outage", "respond with 401"},
	},
	"500 to a wrong signature, of Standard Webhooks": {
		handler:  changed(func(p *parts) { p.refuse = refusesWith(http.StatusInternalServerError) }),
		standard: true,
		found:    "standard-unsigned",
		says:     []string{"without a signature: the response was 500", "It refuses the request"},
	},
	"500 to a wrong signature, but not to a missing one": {
		handler: changed(func(p *parts) {
			p.refuse = func(w http.ResponseWriter, r *http.Request, body []byte) {
				status := http.StatusInternalServerError
				if signatureOf(r) == "" {
					status = http.StatusUnauthorized
				}
				refusesWith(status)(w, r, body)
			}
		}),
		found: "wrong-secret",
		says:  []string{"signed with another secret: the response was 500", "It refuses the request"},
	},
	"an exception over a wrong signature": {
		handler: changed(func(p *parts) {
			p.refuse = func(http.ResponseWriter, *http.Request, []byte) { panic("bad signature") }
		}),
		found: "unsigned",
		says:  []string{"without a signature: the handler panicked: bad signature", "It refuses the request"},
	},
	"a redirect to a login for a wrong signature": {
		handler: changed(func(p *parts) { p.refuse = refusesWith(http.StatusFound) }),
		found:   "unsigned",
		says:    []string{"without a signature: the response was 302 Found", "It refuses the request"},
	},
	"a cut connection for a wrong signature": {
		handler: changed(func(p *parts) {
			p.refuse = func(http.ResponseWriter, *http.Request, []byte) { panic(http.ErrAbortHandler) }
		}),
		found: "unsigned",
		says:  []string{"without a signature: there was no response", "It refuses the request"},
	},
	"500 to all that is refused": {
		handler: changed(func(p *parts) {
			p.refuse = refusesWith(http.StatusInternalServerError)
			p.parse = func(body []byte) (alotwebhook.Event, error) {
				e, err := alotwebhook.ParseEvent(body)
				if err != nil {
					e.Type = "broken"
				}
				return e, nil
			}
			right := p.handle
			p.handle = func(r *http.Request, e alotwebhook.Event) int {
				if e.Type == "broken" {
					return http.StatusInternalServerError
				}
				return right(r, e)
			}
		}),
		found: "unsigned",
		says:  []string{"with 400 where the body is no event"},
	},
	"500 for a duplicate": {
		handler: refusesDuplicates(http.StatusInternalServerError),
		found:   "replay",
		says:    []string{"for the second time: the response was 500", "respond with 200"},
	},
	"409 for a duplicate": {
		handler: refusesDuplicates(http.StatusConflict),
		found:   "replay",
		says:    []string{"for the second time: the response was 409", "respond with 200"},
	},
	"a limit of 2 requests": {
		fresh: func() http.Handler { return limited(2, http.StatusTooManyRequests, changed(func(*parts) {})) },
		found: "keeps-up",
		says:  []string{"since the check any-request: the response was 429", "Lift the limit"},
	},
	"a limit of 30 requests": {
		fresh: func() http.Handler { return limited(30, http.StatusTooManyRequests, changed(func(*parts) {})) },
		found: "keeps-up",
		says:  []string{"the response was 429 Too Many Requests", "Lift the limit"},
	},
	"a limit of 30 requests, with 503": {
		fresh: func() http.Handler { return limited(30, http.StatusServiceUnavailable, changed(func(*parts) {})) },
		found: "keeps-up",
		says:  []string{"the response was 503 Service Unavailable", "Lift the limit"},
	},
	"a limit of one request, with 503": {
		fresh: func() http.Handler { return limited(1, http.StatusServiceUnavailable, changed(func(*parts) {})) },
		found: "keeps-up",
		says:  []string{"since the check signed: the response was 503", "Lift the limit"},
	},
	"a limit that is used up": {
		fresh: func() http.Handler { return limited(0, http.StatusTooManyRequests, changed(func(*parts) {})) },
		found: "keeps-up",
		says:  []string{"no good event was judged: the response was 429", "Lift the limit"},
	},
	"a sender that is banned over wrong signatures": {
		fresh: func() http.Handler { return bans(10, http.StatusForbidden) },
		found: "keeps-up",
		says:  []string{"the response was 403 Forbidden", "keep a sender out after some wrong signatures"},
	},
	"a sender that is banned with 404": {
		fresh: func() http.Handler { return bans(10, http.StatusNotFound) },
		found: "keeps-up",
		says:  []string{"the response was 404", "keep a sender out after some wrong signatures"},
	},
	"a receiver that a request ends": {
		fresh: func() http.Handler { return endedBy(http.StatusBadGateway) },
		found: "keeps-up",
		says:  []string{"since the check not-json: sent a body that is not JSON, signed: the response was 502", "did it end"},
	},
}

// refusesWith returns a parts.refuse that responds with this status.
func refusesWith(status int) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(status) }
}

// refusesDuplicates returns a receiver that is right but for this status to a duplicate, as a unique index has it.
func refusesDuplicates(status int) http.Handler {
	return changed(func(p *parts) {
		right := p.handle
		p.handle = func(r *http.Request, e alotwebhook.Event) int {
			if p.handled(e.ID) > 0 {
				return status
			}
			return right(r, e)
		}
	})
}

// limited hands on so many requests, and responds to all others with this status.
func limited(requests int64, status int, next http.Handler) http.Handler {
	var n atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) > requests {
			w.WriteHeader(status)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bans returns a right receiver behind a firewall that after so many refusals responds to everything with this status.
func bans(after int64, status int) http.Handler {
	var refusals atomic.Int64
	right := changed(func(*parts) {})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refusals.Load() >= after {
			w.WriteHeader(status)
			return
		}
		seen := httptest.NewRecorder()
		right.ServeHTTP(seen, r)
		if seen.Code == http.StatusUnauthorized {
			refusals.Add(1)
		}
		w.WriteHeader(seen.Code)
	})
}

// endedBy returns a receiver that a signed body that is no JSON ends; from then on a proxy in front responds.
func endedBy(status int) http.Handler {
	var ended atomic.Bool
	right := changed(func(p *parts) {
		parse := p.parse
		p.parse = func(body []byte) (alotwebhook.Event, error) {
			if !json.Valid(body) {
				ended.Store(true)
			}
			return parse(body)
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := httptest.NewRecorder()
		if !ended.Load() {
			right.ServeHTTP(seen, r)
		}
		if ended.Load() {
			seen.Code = status
		}
		w.WriteHeader(seen.Code)
	})
}

// madeOf runs the battery against a handler, and returns which checks passed and why the others were not made.
func madeOf(t *testing.T, battery webhooktest.Battery, h http.Handler) (passed []string, skipped map[string]string, problems []string) {
	t.Helper()
	skipped = map[string]string{}
	battery.Secret, battery.MaxBodyBytes = secret, bodyLimit
	for _, f := range battery.Check(t.Context(), served(h)) {
		switch {
		case f.Skipped != "":
			skipped[f.Check] = f.Skipped
		case f.OK():
			passed = append(passed, f.Check)
		default:
			problems = append(problems, f.Check+": "+f.Problem)
		}
	}
	return passed, skipped, problems
}

// What verifies nothing behind a limit refuses nothing: 429 is no refusal, so no check of forgeries passes.
func TestALimitProvesNothing(t *testing.T) {
	t.Parallel()
	nothing := changed(func(p *parts) { p.verify = func(*http.Request, []byte) bool { return true } })
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		passed, skipped, _ := madeOf(t, webhooktest.Battery{}, limited(2, status, nothing))
		require.Subset(t, []string{"signed", "raw-body"}, passed)
		require.Equal(t, fmt.Sprintf("the receiver limits requests (%d), see keeps-up", status), skipped["unsigned"])
		require.Equal(t, skipped["unsigned"], skipped["leaks-nothing"])
	}
	_, skipped, _ := madeOf(t, webhooktest.Battery{}, limited(20, http.StatusTooManyRequests, changed(func(*parts) {})))
	require.NotContains(t, skipped, "unsigned", "what was made before the limit counts")
}

// A firewall that has banned the sender refuses forgeries and good events alike: what it has refused is not proven.
func TestABanProvesNothing(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound} {
		_, skipped, problems := madeOf(t, webhooktest.Battery{}, bans(10, status))
		require.Len(t, problems, 1)
		for _, check := range []string{"truncated", "not-json", "method", "replay", "leaks-nothing"} {
			require.Equal(t, "the receiver takes no good events any more, see keeps-up", skipped[check], check)
		}
		require.Equal(t, status == http.StatusUnauthorized, skipped["unsigned"] != "", "it cannot be told from a real refusal then")
	}
}

// A ban is found whichever refusal brings it, and also if the checks of good events behind it are left out.
func TestABanIsFoundAnywhere(t *testing.T) {
	t.Parallel()
	refusals := int64(0)
	for ; refusals < 100; refusals++ {
		_, _, problems := madeOf(t, webhooktest.Battery{}, bans(refusals+1, http.StatusForbidden))
		if len(problems) == 0 {
			break
		}
		require.Len(t, problems, 1, refusals)
		require.Contains(t, problems[0], "keeps-up: ")
	}
	require.Greater(t, refusals, int64(20), "a right receiver refuses as many")
	require.Less(t, refusals, int64(100))
}

// What refuses good events with the same status as all others has not shown that it refuses forgeries.
func TestARefusalOfEverythingProvesNothing(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.Handler{
		"a protection against CSRF": setups["a protection against CSRF"].handler, "another path": http.NotFoundHandler(),
	} {
		passed, skipped, problems := madeOf(t, webhooktest.Battery{}, h)
		require.Len(t, problems, 1, name)
		require.Equal(t, []string{"in-time"}, passed, name)
		require.Equal(t, "the receiver refuses good events, see signed", skipped["wrong-secret"], name)
	}
}

// A limit is found whichever request meets it, also among the duplicates at once and in the last check.
func TestALimitIsFoundAnywhere(t *testing.T) {
	t.Parallel()
	for requests := range int64(91) {
		_, _, problems := madeOf(t, webhooktest.Battery{}, limited(requests, http.StatusTooManyRequests, changed(func(*parts) {})))
		require.Len(t, problems, 1, requests)
		require.Contains(t, problems[0], "keeps-up: ")
		require.Contains(t, problems[0], "429 Too Many Requests")
	}
}

// The check in which the limit was met says so if the check of limits is left out.
func TestASkippedLimitIsStillFound(t *testing.T) {
	t.Parallel()
	h := limited(2, http.StatusTooManyRequests, changed(func(*parts) {}))
	_, skipped, problems := madeOf(t, webhooktest.Battery{Skip: []string{"keeps-up"}}, h)
	require.Len(t, problems, 1)
	require.Contains(t, problems[0], "any-request: good events are not accepted any more")
	require.Equal(t, "the receiver limits requests (429), see any-request", skipped["unsigned"])
}

// A receiver that is busy for a moment is not one that takes no good events any more.
func TestABusyMomentIsNoLimit(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	right := changed(func(*parts) {})
	passed, _, problems := madeOf(t, webhooktest.Battery{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		right.ServeHTTP(w, r)
	}))
	require.Empty(t, problems)
	require.Contains(t, passed, "keeps-up")
}

// A limit for requests at once may refuse a duplicate that is being handled: the sender repeats it.
func TestALimitAtOnceIsRight(t *testing.T) {
	t.Parallel()
	room := make(chan struct{}, 1)
	right := changed(func(*parts) {})
	_, _, problems := madeOf(t, webhooktest.Battery{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
			right.ServeHTTP(w, r)
		default:
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	require.Empty(t, problems)
}

// An error handler that responds with 500 hides no forgery that is accepted.
func TestOddRefusalsHideNothing(t *testing.T) {
	t.Parallel()
	_, skipped, problems := madeOf(t, webhooktest.Battery{}, changed(func(p *parts) {
		right := p.verify
		p.verify = func(r *http.Request, body []byte) bool {
			return right(r, body) || "sha256="+signatureOf(r) == alotwebhook.Sign(body, secret)
		}
		p.refuse = refusesWith(http.StatusInternalServerError)
	}))
	require.Len(t, problems, 2)
	require.Contains(t, problems[0], "unsigned: ")
	require.Contains(t, problems[1], "no-prefix: sent a request whose signature has no prefix: the response was 200 OK")
	require.Equal(t, "it refuses, but with 500, see unsigned", skipped["wrong-secret"])
}

// A handler that forgets to respond where the signature is wrong costs two waits, not one for each forgery.
func TestNoResponseToAWrongSignatureIsOneFinding(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		spy := &recorder{TB: t}
		webhooktest.Battery{Secret: secret, MaxBodyBytes: bodyLimit}.CheckReceiver(spy, changed(func(p *parts) {
			p.refuse = func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() }
		}))
		require.Equal(t, []string{"unsigned"}, spy.found(), strings.Join(spy.errors, "\n"))
		require.Contains(t, spy.errors[0], "without a signature: there was no response within 30s")
		require.Less(t, time.Since(start), 5*time.Minute)
	})
}

// A proxy that gives up on a receiver that takes too long is one finding, whatever it responds with.
func TestALateErrorIsOneFinding(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spy := &recorder{TB: t}
		webhooktest.CheckReceiver(spy, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(20 * time.Second) // of faked time
			w.WriteHeader(http.StatusGatewayTimeout)
		}), secret)
		require.Equal(t, []string{"in-time"}, spy.found())
	})
}

// One mistake is one finding, the right one.
func TestEachWrongSetUpIsOneFinding(t *testing.T) {
	t.Parallel()
	for name, c := range setups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spy := &recorder{TB: t}
			battery := webhooktest.Battery{Secret: secret, MaxBodyBytes: bodyLimit, StandardWebhooks: c.standard}
			handler := c.handler
			if c.fresh != nil {
				handler = c.fresh()
			}
			battery.CheckReceiver(spy, handler)
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
		"no check of the signature": "see unsigned", "200 to everything": "see any-request", "500 to a wrong signature": "see unsigned", "a proxy without the receiver": "see signed",
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
