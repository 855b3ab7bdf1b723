// Package webhookclient is a client of the management API, for customers in Go: their endpoints, what
// became of each delivery, and all events, so that they can reconcile.
//
//	client, err := webhookclient.New("https://app.example.com", &webhookclient.Options{Token: os.Getenv("ALOT_WEBHOOK_API_TOKEN")})
//	for event, err := range client.Events(ctx, webhookclient.EventsOptions{Since: time.Now().AddDate(0, 0, -1)}) {
//		…
//	}
//
// # Reconciling
//
// A webhook may get lost, for all that both sides do about it: an endpoint was disabled for a month,
// its subscription lacked a type, or a receiver responded with 200 before its disk was full.
// [Client.Reconcile] walks through all events and hands to your handler those that it has not
// handled yet; [alotwebhook.Receiver.Handle] makes the receiver's handlers the ones.
//
// # Errors
//
// A response that is no success is a [*Problem]. Requests are repeated after 429, after 5xx but 501,
// after a 409 that passes by itself, and after errors of the network: each POST carries an
// Idempotency-Key, so that it does its work once.
package webhookclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Client calls the API. Make one with [New]; any other returns an error from all its methods. All methods
// may be called from many goroutines at once.
type Client struct {
	base string
	opts Options
	http *http.Client
}

// Options are the options of a [Client]. The zero value calls an API that needs no token.
type Options struct {
	// Token is sent with each request as "Authorization: Bearer …". Keep it out of arguments and
	// logs; no error of this package has it. It is visible ASCII without blanks: trim what a file has
	// around it.
	Token string
	// Authorize, if not nil, is called for each request in the place of Token, to set whatever
	// headers the host's authentication takes.
	Authorize func(*http.Request) error
	// HTTPClient makes the requests. Defaults to one that follows no redirects, which would take
	// the token elsewhere.
	HTTPClient *http.Client
	// Timeout bounds each request with its response. Defaults to 30 s.
	Timeout time.Duration
	// Retries is how often a request is repeated at most; less than 0 for never. Defaults to 5.
	Retries int
	// MaxWait is the longest that the client waits before it repeats a request. A Retry-After that
	// asks for more ends the call with its [Problem]. Defaults to a minute.
	MaxWait time.Duration
}

// maxBody is how much of a response is read at most, in bytes: a page of events has a few megabytes,
// unless a single payload is larger.
const maxBody = 64 << 20

// keyHeader is the header by which the API knows a request that it has had before.
const keyHeader = "Idempotency-Key"

// apiPath is what the paths of the API begin with.
const apiPath = "/v1/webhooks"

// call makes a request until it succeeds, and hands the body of the response to got, whose error says
// that it is none of the API. If got is nil, the body has to be empty.
func (c *Client) call(ctx context.Context, r request, got func(body []byte) error) error {
	if c == nil || c.http == nil {
		return errors.New("webhookclient: the Client is nil or empty; make it with New")
	}
	p, err := c.prepare(r)
	if err != nil {
		return err
	}
	perhaps := false // whether an earlier try may have done its work
	for try := 0; ; try++ {
		err := c.once(ctx, p, got)
		if err == nil || perhaps && got == nil && isGone(err) {
			return nil
		}
		wait, again := c.wait(err, try)
		if !again {
			return err
		}
		perhaps = perhaps || mayBeDone(err)
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// once makes a request once.
func (c *Client) once(ctx context.Context, p *prepared, got func(body []byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	req, err := c.newRequest(ctx, p)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return &lost{err}
	}
	defer resp.Body.Close() //nolint:errcheck // nothing depends on it
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// Its body is the connection, which ctx does not end.
		return problemOf(resp, nil)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return &lost{err}
	case len(body) > maxBody:
		return fmt.Errorf("webhookclient: the response is larger than %d MiB", maxBody>>20)
	case resp.StatusCode/100 != 2:
		return problemOf(resp, body)
	case got == nil && len(body) > 0:
		err = errors.New("it should be empty")
	case got != nil:
		err = got(body)
	}
	if err != nil {
		return fmt.Errorf("webhookclient: the response to %s %s is none of this API; is its URL right? %w", p.method, req.URL.Path, err)
	}
	return nil
}

// newRequest returns the request for one try.
func (c *Client) newRequest(ctx context.Context, p *prepared) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, p.method, p.url, bytes.NewReader(p.body))
	if err != nil {
		return nil, fmt.Errorf("webhookclient: %w", err)
	}
	if err := c.authorize(req); err != nil {
		return nil, fmt.Errorf("webhookclient: not authorized: %w", err)
	}
	if err := checkHeader(req.Header); err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if p.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if p.key != "" {
		req.Header.Set(keyHeader, p.key)
	}
	return req, nil
}

func (c *Client) authorize(req *http.Request) error {
	if c.opts.Authorize != nil {
		return c.opts.Authorize(req)
	}
	if c.opts.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.opts.Token)
	}
	return nil
}

// lost is an error of a request that has no response.
type lost struct{ err error }

func (e *lost) Error() string { return "webhookclient: no response: " + e.err.Error() }
func (e *lost) Unwrap() error { return e.err }

// mayBeDone reports whether a request that had this error may have done its work.
func mayBeDone(err error) bool {
	var p *Problem
	return errors.As(err, new(*lost)) || errors.As(err, &p) && p.Status >= 500
}

// isGone reports whether the API says that there is nothing of this id.
func isGone(err error) bool {
	var p *Problem
	return errors.As(err, &p) && p.Status == http.StatusNotFound && !p.foreign
}

// wait returns how long to wait before a request is repeated that had this error, and whether it is.
func (c *Client) wait(err error, try int) (time.Duration, bool) {
	var p *Problem
	switch {
	case try >= c.opts.Retries:
		return 0, false
	case errors.As(err, &p):
		if !p.passes() {
			return 0, false
		}
		if p.RetryAfter > 0 {
			return p.RetryAfter, p.RetryAfter <= c.opts.MaxWait
		}
	case !errors.As(err, new(*lost)):
		return 0, false
	}
	return min(time.Second<<min(try, 20)/2, c.opts.MaxWait), true
}
