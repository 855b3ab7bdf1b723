package alotwebhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
	"github.com/alot/alotwebhook/webhooktest"
)

// TestReceiverPitfalls lists the mistakes that receivers of webhooks make, as found in the
// issues of other libraries and programs, and shows that this package does not make them.
// Other tests go deeper into each.
func TestReceiverPitfalls(t *testing.T) {
	t.Parallel()
	for _, p := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"01 an empty secret verifies what anybody signed", pitfallEmptySecret},
		{"02 a secret with white space around it", pitfallBlankSecret},
		{"03 another endpoint's secret, and no way to tell", pitfallWrongSecret},
		{"04 a rotation loses what is in flight", pitfallRotation},
		{"05 a short header panics", pitfallShortHeader},
		{"06 a beginning of the signature is enough", pitfallTruncatedSignature},
		{"07 the header chooses the algorithm", pitfallAlgorithm},
		{"08 a comparison that tells how much was right", pitfallTiming},
		{"09 no header, no check", pitfallMissingHeader},
		{"10 upper-case hex is taken here and refused there", pitfallUpperCase},
		{"11 an error discloses the signature", pitfallOracle},
		{"12 the caller learns why", pitfallEcho},
		{"13 the body is read before anything is known of it", pitfallUnboundedRead},
		{"14 a body that is too large passes for forged", pitfallTruncatedBody},
		{"15 the body was consumed or written anew", pitfallConsumedBody},
		{"16 no body, or none left for the next handler", pitfallNilBody},
		{"17 a line end at the end", pitfallLineEnd},
		{"18 compressed bodies", pitfallGzip},
		{"19 two parsers see two events", pitfallParsers},
		{"20 an unsigned header is taken for the time or the id", pitfallUnsignedTime},
		{"21 the future is never too far", pitfallFuture},
		{"22 marked too early or too late", pitfallMarkOrder},
		{"23 the id changes when the event comes again", pitfallChangingID},
		{"24 the type is taken from an unsigned header", pitfallUnsignedType},
		{"25 a status that makes the sender do the wrong thing", pitfallStatus},
		{"26 errors that cannot be told apart", pitfallErrors},
		{"27 parsing works in an HTTP handler alone", pitfallHTTPOnly},
		{"28 a test helper that works in its own package alone", pitfallTestHelper},
		{"29 what is new is refused", pitfallNewFields},
		{"30 a short secret crashes in FIPS mode", pitfallFIPS},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.test(t)
		})
	}
}

// newHandler returns a desk whose handler keeps its events.
func newHandler(t *testing.T, cfg alotwebhook.ReceiverConfig, secrets ...alotwebhook.Secret) *desk {
	t.Helper()
	d := newDesk(t, cfg, secrets...)
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
	return d
}

// signedWith returns a request with these signature headers.
func signedWith(signatures ...string) *http.Request {
	r := signed(payload)
	r.Header[alotwebhook.SignatureHeader] = signatures
	return r
}

// refuses requires that a request gets 401 and is not handled.
func refuses(t *testing.T, d *desk, r *http.Request, why string) {
	t.Helper()
	require.Equal(t, 401, responseOf(d, r).StatusCode, why)
	require.Empty(t, d.handled, why)
}

func pitfallEmptySecret(t *testing.T) {
	_, err := alotwebhook.NewVerifier("")
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	_, err = alotwebhook.NewVerifier()
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	forged := referenceSign([]byte(payload), "")
	require.ErrorIs(t, alotwebhook.Verify([]byte(payload), forged, ""), alotwebhook.ErrNoSecret)
	require.Equal(t, 500, responseOf(alotwebhook.NewReceiver(nil, nil), signedWith(forged)).StatusCode)
	refuses(t, newHandler(t, alotwebhook.ReceiverConfig{}), signedWith(forged), "signed with an empty secret")
}

func pitfallBlankSecret(t *testing.T) {
	for _, secret := range []alotwebhook.Secret{" ", "\n", "secret\n", "secret\r\n", " secret", "secret\t"} {
		_, err := alotwebhook.NewVerifier("a good one", secret)
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
		require.ErrorContains(t, err, "secrets[1]")
		require.NotContains(t, err.Error(), "a good one")
	}
}

func pitfallWrongSecret(t *testing.T) {
	d := newHandler(t, alotwebhook.ReceiverConfig{}, "the secret of another endpoint")
	refuses(t, d, signed(payload), "another secret")
	require.ErrorIs(t, d.failures[0].err, alotwebhook.ErrSignatureMismatch)
	require.ErrorContains(t, d.failures[0].err, "the body and the secret", "what to look at")
	require.Contains(t, d.log.String(), `"cause":"signature_mismatch"`, "not malformed, not missing")
}

func pitfallRotation(t *testing.T) {
	d := newHandler(t, alotwebhook.ReceiverConfig{}, "new", "old")
	for _, secret := range []alotwebhook.Secret{"old", "new", "old"} { // the last is a retry that was signed before the rotation
		require.Equal(t, 200, responseOf(d, signedWith(alotwebhook.Sign([]byte(payload), secret))).StatusCode)
	}
	require.Equal(t, []int{1, 0, 1}, d.matches, "OnMatch shows when the old secret is no longer in use")
}

func pitfallShortHeader(t *testing.T) {
	d := newHandler(t, alotwebhook.ReceiverConfig{})
	good := alotwebhook.Sign([]byte(payload), receiverSecret)
	for n := range len(good) {
		refuses(t, d, signedWith(good[:n]), good[:n])
		refuses(t, d, signedWith(good[n+1:]), good[n+1:])
	}
	refuses(t, d, signedWith(), "a name without a value")
}

func pitfallTruncatedSignature(t *testing.T) {
	good := alotwebhook.Sign([]byte(payload), receiverSecret)
	for n := range len(good) {
		require.Error(t, alotwebhook.Verify([]byte(payload), good[:n], receiverSecret))
	}
	require.Error(t, alotwebhook.Verify([]byte(payload), good+"00", receiverSecret))
}

func pitfallAlgorithm(t *testing.T) {
	digits := strings.TrimPrefix(alotwebhook.Sign([]byte(payload), receiverSecret), "sha256=")
	d := newHandler(t, alotwebhook.ReceiverConfig{})
	for _, signature := range []string{
		digits, "sha1=" + digits[:40], "sha1=" + digits, "sha512=" + digits + digits, "SHA256=" + digits, "none=", "md5=" + digits[:32],
	} {
		refuses(t, d, signedWith(signature), signature)
	}
}

// Every function that compares a MAC does so in constant time. The test reads the source
// code: no measurement on a busy machine could prove it.
func pitfallTiming(t *testing.T) {
	comparing := 0
	for _, name := range []string{"internal/mac/hex.go", "internal/mac/standard.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "Matches") {
				continue
			}
			comparing++
			require.True(t, mentions(f, "ConstantTimeCompare"), f.Name.Name)
			for _, other := range []string{"Equal", "EqualFold", "Compare", "HasPrefix"} {
				require.False(t, mentions(f, other), "%s: %s", f.Name.Name, other)
			}
		}
	}
	require.Equal(t, 2, comparing)
}

func mentions(f *ast.FuncDecl, name string) (found bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == name
		return true
	})
	return found
}

func pitfallMissingHeader(t *testing.T) {
	d := newHandler(t, alotwebhook.ReceiverConfig{})
	r := signed(payload)
	r.Header.Del(alotwebhook.SignatureHeader)
	r.Header.Set("X-Signature", alotwebhook.Sign([]byte(payload), receiverSecret))
	refuses(t, d, r, "another name")
	require.ErrorIs(t, d.failures[0].err, alotwebhook.ErrNotSigned)
}

func pitfallUpperCase(t *testing.T) {
	good := alotwebhook.Sign([]byte(payload), receiverSecret)
	upper := "sha256=" + strings.ToUpper(strings.TrimPrefix(good, "sha256="))
	require.NotEqual(t, good, upper)
	require.ErrorIs(t, alotwebhook.Verify([]byte(payload), upper, receiverSecret), alotwebhook.ErrMalformedSignature)
	d := newHandler(t, alotwebhook.ReceiverConfig{})
	refuses(t, d, signedWith(upper), "the published verifier refuses it, too")
	require.ErrorIs(t, d.failures[0].err, alotwebhook.ErrMalformedSignature)
}

func pitfallOracle(t *testing.T) {
	good := strings.TrimPrefix(alotwebhook.Sign([]byte(payload), receiverSecret), "sha256=")
	d := newHandler(t, alotwebhook.ReceiverConfig{})
	for _, c := range signatureCases([]byte(payload), receiverSecret) {
		if c.err == nil {
			continue
		}
		w := responseOf(d, signedWith(c.signature))
		text, err := io.ReadAll(w.Body)
		require.NoError(t, err)
		said := string(text) + d.log.String() + d.failures[len(d.failures)-1].err.Error()
		require.NotContains(t, strings.ToLower(said), good[:16])
		require.NotContains(t, said, string(receiverSecret))
	}
}

func pitfallEcho(t *testing.T) {
	d := newDesk(t, alotwebhook.ReceiverConfig{OrganizationID: "org_123"})
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, json.RawMessage) error {
		return errors.New("dial db.internal: refused")
	})
	for _, r := range []*http.Request{signed(payload), signedWith("x"), signed("{}"), signed(with("organizationId", `"org_9"`))} {
		w := responseOf(d, r)
		text, err := io.ReadAll(w.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusText(w.StatusCode)+"\n", string(text))
	}
}

func pitfallUnboundedRead(t *testing.T) {
	d := newHandler(t, alotwebhook.ReceiverConfig{MaxBodyBytes: 10_000})
	r := signedWith()
	r.ContentLength, r.Body = -1, &endlessBody{t: t, most: 0}
	require.Equal(t, 401, responseOf(d, r).StatusCode, "unsigned: not a byte")
	r = signed(payload)
	r.ContentLength, r.Body = 1<<40, &endlessBody{t: t, most: 0}
	require.Equal(t, 413, responseOf(d, r).StatusCode, "said to be large: not a byte")
	r = signed(payload)
	r.ContentLength, r.Body = -1, &endlessBody{t: t, most: 20_000}
	require.Equal(t, 413, responseOf(d, r).StatusCode, "endless: up to the limit, and a buffer")
}

func pitfallTruncatedBody(t *testing.T) {
	d := newHandler(t, alotwebhook.ReceiverConfig{MaxBodyBytes: int64(len(payload))})
	require.Equal(t, 200, statusOf(d, payload), "just fits")
	for _, length := range []int64{int64(len(payload)) + 1, -1} {
		r := signed(payload + " ")
		r.ContentLength = length
		require.Equal(t, 413, responseOf(d, r).StatusCode, "a byte more is too large, and not forged")
	}
	require.Len(t, d.handled, 1)
}

func pitfallConsumedBody(t *testing.T) {
	d := newHandler(t, alotwebhook.ReceiverConfig{})
	spaced := strings.Replace(payload, `"score":82`, `"score": 82.0`, 1)
	var decoded any
	require.NoError(t, json.Unmarshal([]byte(spaced), &decoded))
	encoded, err := json.Marshal(decoded)
	require.NoError(t, err)
	for _, body := range []string{"", string(encoded)} {
		r := signed(spaced)
		r.Body = io.NopCloser(strings.NewReader(body))
		refuses(t, d, r, "by something in front")
	}
	// If Middleware comes first, every handler after it can read the bytes as sent.
	h := d.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, spaced, string(body))
	}))
	require.Equal(t, 200, statusOf(h, spaced))
}

func pitfallNilBody(t *testing.T) {
	d := newHandler(t, alotwebhook.ReceiverConfig{})
	for _, body := range []io.ReadCloser{nil, http.NoBody} {
		r := signed(payload)
		r.Body = body
		refuses(t, d, r, "no body")
		r = signed(payload)
		r.Body = body
		h := d.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called without a body") }))
		require.Equal(t, 401, responseOf(h, r).StatusCode)
	}
}

func pitfallLineEnd(t *testing.T) {
	for _, end := range []string{"\n", "\r\n", " "} {
		d := newHandler(t, alotwebhook.ReceiverConfig{})
		r := signed(payload)
		r.Body = io.NopCloser(strings.NewReader(payload + end))
		refuses(t, d, r, "one was added on the way")
		r = signed(payload + end)
		r.Body = io.NopCloser(strings.NewReader(payload))
		refuses(t, d, r, "one was lost on the way")
		require.Equal(t, 200, statusOf(d, payload+end), "signed as it is, it is good")
	}
}

func pitfallGzip(t *testing.T) {
	d := newHandler(t, alotwebhook.ReceiverConfig{})
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip"} {
		r := signed(payload)
		r.Header.Set("Content-Encoding", encoding)
		r.Body = &endlessBody{t: t, most: 0}
		require.Equal(t, 415, responseOf(d, r).StatusCode, "nothing is inflated, before or after the signature")
	}
}

func pitfallParsers(t *testing.T) {
	d := newHandler(t, alotwebhook.ReceiverConfig{})
	for _, body := range []string{
		with("type", `"a","type":"candidate.completed"`), with("type", `"a","Type":"candidate.completed"`),
		with("id", `"`+eventID+`","ID":"`+anotherID+`"`), with("id", `"`+eventID+`","\u0069d":"`+anotherID+`"`),
		payload + payload, "\ufeff" + payload,
	} {
		require.Equal(t, 400, statusOf(d, body), body)
	}
	require.Empty(t, d.handled)
}

func pitfallUnsignedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const horizon = 24 * time.Hour // longer than the sender retries
		d := newHandler(t, alotwebhook.ReceiverConfig{MaxAge: horizon, Deduper: dedupe.NewMemory(nil)})
		body := with("timestamp", time.Now().UTC().Format(`"2006-01-02T15:04:05.000Z"`))
		for i := range 3 {
			r := signed(body) // a replay, with new values in headers that are not signed
			r.Header.Set(alotwebhook.DeliveryHeader, "dlv_"+strings.Repeat("x", i))
			r.Header.Set("X-Timestamp", time.Now().UTC().String())
			require.Equal(t, 200, responseOf(d, r).StatusCode)
			time.Sleep(time.Hour)
		}
		require.Len(t, d.handled, 1, "what is signed has an id")
		time.Sleep(horizon)
		require.Equal(t, 400, statusOf(d, body), "and a time")
	})
}

func pitfallFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newHandler(t, alotwebhook.ReceiverConfig{MaxAge: time.Hour})
		for _, ahead := range []time.Duration{2 * time.Hour, 10 * 365 * 24 * time.Hour} {
			at := time.Now().Add(ahead).UTC().Format(`"2006-01-02T15:04:05.000Z"`)
			require.Equal(t, 400, statusOf(d, with("timestamp", at)))
			require.ErrorIs(t, d.failures[len(d.failures)-1].err, alotwebhook.ErrTooNew)
		}
	})
}

func pitfallMarkOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := dedupe.NewMemory(nil)
		_, err := memory.Claim(t.Context(), eventID, alotwebhook.DefaultLease) // then the process crashed
		require.NoError(t, err)
		d := newHandler(t, alotwebhook.ReceiverConfig{Deduper: memory})
		require.Equal(t, 409, statusOf(d, payload), "not lost: the sender comes again")
		time.Sleep(alotwebhook.DefaultLease)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() { statusOf(d, payload) })
		}
		group.Wait()
		require.Len(t, d.handled, 1, "not twice: of many at once, one")
	})
}

func pitfallChangingID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{respond: func(*http.Request, int) (*http.Response, error) { return status(500), nil }})
		delivery := deliverOne(t, w)
		_, err := w.Redeliver(t.Context(), delivery.ID)
		require.NoError(t, err)
		stop := newWorldOn(t, w.store, alotwebhook.Config{}, w.net).run(t)
		time.Sleep(time.Hour)
		stop()
		seen := w.net.requests()
		require.Len(t, seen, 6)
		for _, r := range seen {
			require.Equal(t, seen[0].body, r.body, "over retries and redeliveries")
		}
	})
}

func pitfallUnsignedType(t *testing.T) {
	d := newHandler(t, alotwebhook.ReceiverConfig{})
	r := signed(payload)
	r.Header.Set(alotwebhook.EventHeader, "candidate.invited")
	require.Equal(t, 200, responseOf(d, r).StatusCode)
	require.Equal(t, alotwebhook.EventCandidateCompleted, d.handled[0].Type)
	r = signedWith()
	r.Header.Set(alotwebhook.EventHeader, "of.no.interest")
	require.Equal(t, 401, responseOf(d, r).StatusCode, "not 204: nothing is decided before the signature")
}

// The dispatcher reacts to every status of a Receiver as its documentation says.
func pitfallStatus(t *testing.T) {
	for code, done := range map[int]bool{
		200: true, 202: true, 204: true,
		400: false, 401: false, 403: false, 405: false, 408: false, 409: false, 413: false, 415: false, 500: false, 503: false,
	} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, alotwebhook.Config{}, &receivers{respond: func(*http.Request, int) (*http.Response, error) { return status(code), nil }})
				delivery := deliverOne(t, w)
				if done {
					require.Equal(t, alotwebhook.StateDelivered, delivery.State)
					require.Equal(t, 1, delivery.AttemptCount)
					return
				}
				require.Equal(t, alotwebhook.StateFailed, delivery.State, "repeated, and can be redelivered")
				require.Equal(t, 3, delivery.AttemptCount)
				endpoint, err := w.Endpoint(t.Context(), delivery.EndpointID)
				require.NoError(t, err)
				require.False(t, endpoint.Disabled, "none of them is 410")
			})
		})
	}
}

func pitfallErrors(t *testing.T) {
	all := []error{
		alotwebhook.ErrNoSecret, alotwebhook.ErrNotSigned, alotwebhook.ErrMalformedSignature, alotwebhook.ErrSignatureMismatch,
		alotwebhook.ErrEncodedBody, alotwebhook.ErrBodyTooLarge, alotwebhook.ErrBodyMemory, alotwebhook.ErrBodyTimeout,
		alotwebhook.ErrMalformedEvent, alotwebhook.ErrWrongOrganization, alotwebhook.ErrTooOld, alotwebhook.ErrTooNew,
		alotwebhook.ErrInProgress, alotwebhook.ErrNotMarked, alotwebhook.ErrClaimLost,
	}
	for i, a := range all {
		require.True(t, strings.HasPrefix(a.Error(), "alotwebhook: "))
		for j, b := range all {
			require.Equal(t, i == j, errors.Is(a, b))
		}
	}
}

func pitfallHTTPOnly(t *testing.T) {
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	signature := alotwebhook.Sign([]byte("not JSON"), receiverSecret)
	require.NoError(t, v.Verify([]byte("not JSON"), signature), "verifying needs no parsing")
	e, err := alotwebhook.ParseEvent([]byte(payload))
	require.NoError(t, err, "parsing needs no verifying")
	fromQueue, err := v.ParseBody([]byte(payload), http.Header{alotwebhook.SignatureHeader: {alotwebhook.Sign([]byte(payload), receiverSecret)}})
	require.NoError(t, err)
	require.Equal(t, e, fromQueue)
}

// The helpers of webhooktest work in any package: this test is in another one, as a
// customer's tests are.
func pitfallTestHelper(t *testing.T) {
	e := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)
	d := newHandler(t, alotwebhook.ReceiverConfig{})
	require.Equal(t, 200, responseOf(d, webhooktest.NewRequest(t, "/alot/webhook", e, receiverSecret)).StatusCode)
	require.Equal(t, e, d.handled[0])
	webhooktest.CheckReceiver(t, d, receiverSecret)
}

func pitfallNewFields(t *testing.T) {
	d := newDesk(t, alotwebhook.ReceiverConfig{})
	var got alotwebhook.CandidateCompleted
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, func(_ context.Context, _ alotwebhook.Event, data alotwebhook.CandidateCompleted) error {
		got = data
		return nil
	})
	require.Equal(t, 200, statusOf(d, with("type", `"candidate.completed","apiVersion":"2031-01-01"`)))
	require.Equal(t, 200, statusOf(d, with("data", `{"sessionId":"sess_9","score":1e2,"percentile":{"p":99}}`)))
	require.Equal(t, "sess_9", got.SessionID)
	require.Equal(t, 204, statusOf(d, with("type", `"candidate.promoted"`)), "an error would make the sender repeat the event")
}

func pitfallFIPS(t *testing.T) {
	if os.Getenv("ALOTWEBHOOK_TEST_FIPS") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestReceiverPitfalls$/^30", "-test.v")
		cmd.Env = append(os.Environ(), "ALOTWEBHOOK_TEST_FIPS=1", "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "--- PASS: TestReceiverPitfalls/30")
		return
	}
	v, err := alotwebhook.NewVerifier("short")
	require.NoError(t, err)
	require.NoError(t, v.Verify([]byte("body"), alotwebhook.Sign([]byte("body"), "short")))
}
