// Package frameworks receives webhooks in AWS Lambda, in Google Cloud Functions, out of a queue, and behind fiber
// and huma, where a request is not that of net/http, or not only.
//
// The signature is over the body's bytes as they were sent, and the header that carries it is there once. So what
// each place takes is: the body, decoded if it was handed on as base64; the headers, with names in any case, of
// one map; and the status that [alotwebhook.StatusCode] gives the error.
package frameworks

import (
	"context"
	"encoding/base64"
	"net/http"

	"github.com/alot/alotwebhook"
)

// Path is the path of the webhooks.
const Path = "/alot/webhook"

// envelope is a request as a function service hands it on.
type envelope struct {
	method string
	header map[string]string   // each name with one value
	multi  map[string][]string // in its place, if it is not empty
	body   string
	base64 bool
}

// receive has the receiver handle the event in an envelope, and returns the status of the response.
func receive(ctx context.Context, r *alotwebhook.Receiver, e envelope) (status int) {
	if e.method != http.MethodPost {
		return http.StatusMethodNotAllowed
	}
	body := []byte(e.body)
	if e.base64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.body); err != nil {
			return http.StatusBadRequest
		}
	}
	header := http.Header(e.multi)
	if len(header) == 0 {
		header = http.Header{}
		for name, value := range e.header {
			header.Add(name, value)
		}
	}
	return alotwebhook.StatusCode(r.Receive(ctx, body, header))
}
