package interop_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// jsRequest is a request to javascript/standard.js: to verify, or, without headers, to sign.
type jsRequest struct {
	Secret    string            `json:"secret"`
	ID        string            `json:"id,omitempty"`
	Timestamp int64             `json:"timestamp,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`
	Body      string            `json:"body"`
}

type jsAnswer struct{ Signature, Error string }

// flat returns a header as the library takes it.
func flat(h http.Header) map[string]string {
	m := map[string]string{}
	for name := range h {
		m[strings.ToLower(name)] = h.Get(name)
	}
	return m
}

func TestJavaScriptLibrary(t *testing.T) {
	t.Parallel()
	node, dir, now := program(t, "node"), "javascript", time.Now()
	type question struct {
		name   string
		secret alotwebhook.Secret
		jsRequest
		refused string
	}
	var questions []question
	add := func(name string, secret alotwebhook.Secret, h http.Header, body, refused string) {
		r := jsRequest{Secret: string(secret.Standard()), Body: body}
		if h == nil {
			r.ID, r.Timestamp = eventID, now.Unix()
		} else {
			r.Headers = flat(h)
		}
		questions = append(questions, question{name, secret, r, refused})
	}
	for secretName, secret := range secrets {
		delivered := deliver(t, secret)
		add("delivered, "+secretName, secret, delivered.header, delivered.body, "")
		add("delivered, wrong secret, "+secretName, "another", delivered.header, delivered.body, "No matching signature found")
		for bodyName, body := range bodies {
			name := secretName + ", " + bodyName
			good := header(eventID, now, alotwebhook.SignStandard([]byte(body), eventID, now, secret))
			add("signed here, "+name, secret, good, body, "")
			add("changed, "+name, secret, good, body+" ", "No matching signature found")
			add("signed there, "+name, secret, nil, body, "")
		}
	}
	old := now.Add(-time.Hour)
	add("old", "s", header(eventID, old, alotwebhook.SignStandard(nil, eventID, old, "s")), "", "Message timestamp too old")

	requests := make([]jsRequest, len(questions))
	for i, q := range questions {
		requests[i] = q.jsRequest
	}
	var answers []jsAnswer
	ask(t, requests, &answers, dir, node, "standard.js")
	require.Len(t, answers, len(questions))
	for i, q := range questions {
		require.Equal(t, q.refused, answers[i].Error, q.name)
		if q.Headers == nil {
			_, err := verifierOf(t, q.secret).VerifyHeader([]byte(q.Body), header(q.ID, now, answers[i].Signature))
			require.NoError(t, err, q.name)
		}
	}
}
