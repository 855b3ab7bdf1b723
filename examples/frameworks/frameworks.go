// Package frameworks receives webhooks in AWS Lambda, in Google Cloud Functions, out of a queue, and behind fiber
// and huma, where a request is not that of net/http, or not only.
//
// The signature is over the body's bytes as they were sent, and the header that carries it is there once. So what
// each place takes is: the body, decoded if it was handed on as base64; the headers, with names in any case, of
// one map. With both, the Receiver gets a request as from net/http, and its response is handed back: also a
// challenge is answered so, by which a sender has its URLs proven.
package frameworks

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"time"

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

// request returns the request of net/http.
func (e envelope) request(ctx context.Context) (*http.Request, error) {
	body := []byte(e.body)
	if e.base64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, e.method, Path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range e.multi {
		for _, value := range values {
			r.Header.Add(name, value)
		}
	}
	if len(e.multi) == 0 {
		for name, value := range e.header {
			r.Header.Add(name, value)
		}
	}
	return r, nil
}

// response is an [http.ResponseWriter] that keeps what is written.
type response struct {
	bytes.Buffer // the body
	status       int
	header       http.Header
}

func (r *response) Header() http.Header    { return r.header }
func (r *response) WriteHeader(status int) { r.status = status }

// SetReadDeadline has nothing to do, as all of the body is here. Without it, the receiver would warn that its
// BodyTimeout cannot work.
func (r *response) SetReadDeadline(time.Time) error { return nil }

// single returns the headers with one value each.
func (r *response) single() map[string]string {
	headers := map[string]string{}
	for name := range r.header {
		headers[name] = r.header.Get(name)
	}
	return headers
}

// receive has the receiver handle the request in an envelope.
func receive(ctx context.Context, r *alotwebhook.Receiver, e envelope) *response {
	w := &response{status: http.StatusOK, header: http.Header{}}
	request, err := e.request(ctx)
	if err != nil {
		w.status = http.StatusBadRequest
		return w
	}
	r.ServeHTTP(w, request)
	return w
}
