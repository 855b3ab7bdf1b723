package frameworks_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/examples/frameworks"
	"github.com/alot/alotwebhook/webhooktest"
)

// object is JSON that is filled in.
type object = map[string]any

// services are the ways to a function. Their files have the published form of an event; fill puts a request
// into it as the service does.
var services = map[string]struct {
	file    string
	handler func(*alotwebhook.Receiver) any
	fill    func(e object, r *http.Request)
	skip    []string
}{
	"API Gateway REST API": {"apigateway-rest.json", func(r *alotwebhook.Receiver) any { return frameworks.REST(r) }, func(e object, r *http.Request) {
		e["httpMethod"] = r.Method
		put(e["headers"].(object), r.Header, same, last)
		put(e["multiValueHeaders"].(object), r.Header, same, every)
	}, nil},
	"API Gateway HTTP API": {"apigateway-http.json", func(r *alotwebhook.Receiver) any { return frameworks.HTTP(r) }, fillHTTP, nil},
	"function URL":         {"function-url.json", func(r *alotwebhook.Receiver) any { return frameworks.FunctionURL(r) }, fillHTTP, nil},
	"ALB": {"alb.json", func(r *alotwebhook.Receiver) any { return frameworks.ALB(r) }, func(e object, r *http.Request) {
		e["httpMethod"] = r.Method
		put(e["headers"].(object), r.Header, strings.ToLower, last)
	}, []string{"doubled-header"}}, // the load balancer hands on the last of several headers alone
	"ALB with multi-value headers": {"alb-multi.json", func(r *alotwebhook.Receiver) any { return frameworks.ALB(r) }, func(e object, r *http.Request) {
		e["httpMethod"] = r.Method
		put(e["multiValueHeaders"].(object), r.Header, strings.ToLower, every)
	}, nil},
}

func fillHTTP(e object, r *http.Request) {
	e["requestContext"].(object)["http"].(object)["method"] = r.Method
	put(e["headers"].(object), r.Header, strings.ToLower, joined)
}

func same(name string) string { return name }

func last(values []string) any   { return values[len(values)-1] }
func every(values []string) any  { return values }
func joined(values []string) any { return strings.Join(values, ",") }

func put(into object, h http.Header, spell func(string) string, value func([]string) any) {
	for name, values := range h {
		if len(values) > 0 {
			into[spell(name)] = value(values)
		}
	}
}

// Each service, with the body as it is and as base64, hands a request on so that the receiver passes the battery.
func TestLambda(t *testing.T) {
	t.Parallel()
	for name, s := range services {
		for encoding, encode := range map[string]func([]byte) string{"plain": func(b []byte) string { return string(b) }, "base64": base64.StdEncoding.EncodeToString} {
			t.Run(name+" "+encoding, func(t *testing.T) {
				t.Parallel()
				receiver, a := newReceiver(t)
				do := func(r *http.Request) (*http.Response, error) {
					e := read(t, s.file)
					s.fill(e, r)
					body, err := io.ReadAll(r.Body)
					require.NoError(t, err)
					e["body"], e["isBase64Encoded"] = encode(body), encoding == "base64"
					payload, err := json.Marshal(e)
					require.NoError(t, err)
					function := lambda.NewHandler(s.handler(receiver)) // its answers share a buffer, so that each request has one of its own
					answer, err := function.Invoke(r.Context(), payload)
					require.NoError(t, err)
					return answered(t, answer, e["multiValueHeaders"] != nil && e["headers"] == nil), nil
				}
				passes(t, webhooktest.Battery{Handled: a.times, Skip: s.skip}, do)
			})
		}
	}
}

// answered returns a function's answer as the service turns it into a response, from one map of headers.
func answered(t *testing.T, answer []byte, multi bool) *http.Response {
	t.Helper()
	var a struct {
		StatusCode        int
		Headers           map[string]string
		MultiValueHeaders http.Header
		Body              string
		IsBase64Encoded   bool
	}
	require.NoError(t, json.Unmarshal(answer, &a), string(answer))
	require.False(t, a.IsBase64Encoded)
	h := http.Header{}
	if multi {
		h = a.MultiValueHeaders
	}
	for name, value := range a.Headers {
		require.False(t, multi, "the load balancer leaves this map out")
		h.Set(name, value)
	}
	if a.Body != "" {
		require.NotEmpty(t, h.Get("Content-Type"))
	}
	return &http.Response{StatusCode: a.StatusCode, Body: io.NopCloser(strings.NewReader(a.Body)), Header: h}
}

// read returns an event of testdata.
func read(t *testing.T, file string) (e object) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &e))
	return e
}

// A body that says it is base64, and is not, is no event.
func TestLambdaRefusesWhatIsNoBase64(t *testing.T) {
	t.Parallel()
	r, _ := newReceiver(t)
	e := events.LambdaFunctionURLRequest{Body: "{", IsBase64Encoded: true}
	e.RequestContext.HTTP.Method = http.MethodPost
	response, err := frameworks.FunctionURL(r)(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
}

// A handler's wish for a later attempt is handed back, too.
func TestLambdaHandsOnRetryAfter(t *testing.T) {
	t.Parallel()
	r, a := newReceiver(t)
	a.fail = alotwebhook.RetryAfter(errors.New("later"), time.Minute)
	sent := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)
	e := events.LambdaFunctionURLRequest{Body: string(sent.Payload()), Headers: map[string]string{"x-alot-signature": alotwebhook.Sign(sent.Payload(), secret)}}
	e.RequestContext.HTTP.Method = http.MethodPost
	response, err := frameworks.FunctionURL(r)(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Equal(t, "60", response.Headers["Retry-After"])
}

// The receiver's one line about BodyTimeout would mislead: all of the body is in the event.
func TestLambdaLogsNothingOfBodyTimeout(t *testing.T) {
	t.Parallel()
	v, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	var logged bytes.Buffer
	r := alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	e := events.LambdaFunctionURLRequest{Body: "{}"}
	e.RequestContext.HTTP.Method = http.MethodPost
	_, err = frameworks.FunctionURL(r)(t.Context(), e)
	require.NoError(t, err)
	require.Contains(t, logged.String(), "not_signed")
	require.NotContains(t, logged.String(), "BodyTimeout")
}
