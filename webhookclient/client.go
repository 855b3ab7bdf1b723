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
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"
)

// Client calls the API. Make one with [New]. All methods may be called from many goroutines at once.
type Client struct {
	base string
	opts Options
	http *http.Client
}

// Options are the options of a [Client]. The zero value calls an API that needs no token.
type Options struct {
	// Token is sent with each request as "Authorization: Bearer …". Keep it out of arguments and
	// logs; no error of this package has it.
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

// New returns a client of the API below a URL: https://app.example.com, where the API serves
// https://app.example.com/v1/webhooks. The scheme is https, or http for localhost and
// loopback addresses. opts may be nil. The error says what is wrong with the URL or with opts.
func New(baseURL string, opts *Options) (*Client, error) {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("webhookclient: the URL of the API is none such as https://app.example.com: it has a host, and neither user, query nor fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLocal(u.Hostname())):
		return nil, fmt.Errorf("webhookclient: the URL of the API begins with %q: give an https URL, since the token goes there", u.Scheme)
	}
	c := &Client{base: strings.TrimSuffix(strings.TrimSuffix(baseURL, "/"), apiPath)}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Timeout < 0 || c.opts.MaxWait < 0 {
		return nil, fmt.Errorf("webhookclient: Timeout is %v and MaxWait %v; neither may be less than 0, and 0 is the default", c.opts.Timeout, c.opts.MaxWait)
	}
	c.opts.Timeout = cmp.Or(c.opts.Timeout, 30*time.Second)
	c.opts.Retries = cmp.Or(c.opts.Retries, 5)
	c.opts.MaxWait = cmp.Or(c.opts.MaxWait, time.Minute)
	if c.http = c.opts.HTTPClient; c.http == nil {
		c.http = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return c, nil
}

// keyHeader is the header by which the API knows a request that it has had before.
const keyHeader = "Idempotency-Key"

// apiPath is what the paths of the API begin with.
const apiPath = "/v1/webhooks"

func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// call makes a request until it succeeds, and decodes its response into out, unless that is nil.
func (c *Client) call(ctx context.Context, method, at string, query url.Values, in, out any) error {
	if at == "/" || at != "" && path.Clean(at) != at { // it would lead to something else
		return errors.New("webhookclient: an id is empty or a dot; give that of what is meant")
	}
	r := request{method: method, url: c.base + apiPath + at}
	if len(query) > 0 {
		r.url += "?" + query.Encode()
	}
	if in != nil {
		body, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("webhookclient: %w", err)
		}
		r.body = body
	}
	if method == http.MethodPost {
		r.key = rand.Text()
	}
	for try := 0; ; try++ {
		err := c.once(ctx, &r, out)
		wait, again := c.wait(err, try)
		if err == nil || !again {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// request is a request that may be repeated.
type request struct {
	method, url, key string
	body             []byte
}

// once makes a request once.
func (c *Client) once(ctx context.Context, r *request, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return fmt.Errorf("webhookclient: %w", err)
	}
	if err := c.authorize(req); err != nil {
		return fmt.Errorf("webhookclient: not authorized: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.key != "" {
		req.Header.Set(keyHeader, r.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return &lost{err}
	}
	defer resp.Body.Close() //nolint:errcheck // nothing depends on it
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return &lost{err}
	case len(body) > maxBody:
		return fmt.Errorf("webhookclient: the response is larger than %d MiB", maxBody>>20)
	case resp.StatusCode/100 != 2:
		return problemOf(resp, body)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("webhookclient: the response to %s %s is none of this API: %w", r.method, req.URL.Path, err)
	}
	return nil
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
