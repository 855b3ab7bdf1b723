package moving

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client makes requests of a JSON API. It follows no redirect that its HTTP does not follow.
type Client struct {
	HTTP    *http.Client
	Token   string        // sent as a bearer token
	Timeout time.Duration // of one request
}

// maxAnswer bounds what is read of a response, in bytes. A page of a list is the largest.
const maxAnswer = 16 << 20

// maxWait bounds how long a request waits because the API asks for it.
const maxWait = 2 * time.Minute

// StatusError is a response that is not 2xx.
type StatusError struct {
	Status int
	// Detail is what the response says about it, if that is understood.
	Detail string
	wait   time.Duration
}

func (e *StatusError) Error() string {
	said := fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	if e.Detail != "" {
		said += ": " + e.Detail
	}
	return said
}

// isStatus reports whether err is a response with one of these statuses.
func isStatus(err error, statuses ...int) bool {
	var e *StatusError
	if !errors.As(err, &e) {
		return false
	}
	for _, s := range statuses {
		if e.Status == s {
			return true
		}
	}
	return false
}

// Get reads JSON into a value.
func (c *Client) Get(ctx context.Context, from string, into any) (http.Header, error) {
	return c.do(ctx, http.MethodGet, from, nil, nil, into)
}

// do makes a request, and repeats it while the API says that it comes too often. What it does has
// to be safe to repeat. The error names the path alone: a query may hold anything.
func (c *Client) do(ctx context.Context, method, to string, header http.Header, body, into any) (http.Header, error) {
	for {
		got, err := c.once(ctx, method, to, header, body, into)
		var e *StatusError
		if !errors.As(err, &e) || e.Status != http.StatusTooManyRequests || e.wait > maxWait {
			return got, err
		}
		select {
		case <-time.After(max(e.wait, time.Second)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Client) once(ctx context.Context, method, to string, header http.Header, body, into any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	r, err := c.request(ctx, method, to, header, body)
	if err != nil {
		return nil, err
	}
	at := method + " " + r.URL.Host + r.URL.EscapedPath()
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, Cause(err))
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", at, err)
	case resp.StatusCode/100 != 2:
		return nil, fmt.Errorf("%s: %w", at, refusal(resp, got))
	case len(got) > maxAnswer:
		return nil, fmt.Errorf("%s: the response has more than %d bytes", at, maxAnswer)
	}
	if into == nil {
		return resp.Header, nil
	}
	if err := json.Unmarshal(got, into); err != nil {
		return nil, fmt.Errorf("%s: the response is not the JSON that was expected; is this the right API?", at)
	}
	return resp.Header, nil
}

func (c *Client) request(ctx context.Context, method, to string, header http.Header, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, to, content)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "alotwebhook/1")
	if c.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

// refusal reads what the response says about its status: a problem (RFC 9457) says most. Of
// another body nothing is told: it may quote what was sent.
func refusal(resp *http.Response, body []byte) *StatusError {
	e := &StatusError{Status: resp.StatusCode}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		e.wait = time.Duration(seconds) * time.Second
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		var problem struct {
			Detail string `json:"detail"`
		}
		_ = json.Unmarshal(body, &problem) // without a detail, the status stands alone
		e.Detail = problem.Detail
	}
	return e
}

// Cause returns an error of a request without its method and URL, because callers print them anyway.
func Cause(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		if e.Timeout() {
			return errors.New("it timed out")
		}
		return e.Err
	}
	return err
}
