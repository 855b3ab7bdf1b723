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
	Waits   func()        // told once that the API has asked to wait; may be nil

	waited bool
}

// maxAnswer bounds what is read of a response, in bytes. A page of a list is the largest.
const maxAnswer = 16 << 20

// maxWait bounds how long a request waits at a time because the API asks for it, and maxWaits how long in all.
const (
	maxWait  = 2 * time.Minute
	maxWaits = 15 * time.Minute
)

// StatusError is a response that is not 2xx.
type StatusError struct {
	Status int
	// Detail is what the response says about it, if that is understood.
	Detail string
	fields []string // what of the request it names
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
	for waited, try := time.Duration(0), 0; ; try++ {
		got, err := c.once(ctx, method, to, header, body, into)
		var e *StatusError
		if !errors.As(err, &e) || e.Status != http.StatusTooManyRequests || e.wait > maxWait {
			return got, err
		}
		wait := max(e.wait, time.Second<<min(try, 5)) // longer each time: it may not say how long
		if waited += wait; waited > maxWaits {
			return got, err
		}
		c.tellOfWaiting()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ErrInterrupted
		}
	}
}

func (c *Client) tellOfWaiting() {
	if c.Waits != nil && !c.waited {
		c.Waits()
	}
	c.waited = true
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
		return nil, unlessInterrupted(Cause(err), at+": ")
	}
	got, err := Body(resp, maxAnswer+1)
	switch {
	case err != nil:
		return nil, unlessInterrupted(Cause(err), fmt.Sprintf("%s: %d %s, but ", at, resp.StatusCode, http.StatusText(resp.StatusCode)))
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
	e := &StatusError{Status: resp.StatusCode, wait: retryAfter(resp.Header.Get("Retry-After"))}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		var problem struct {
			Detail string `json:"detail"`
			Errors []struct {
				Field string `json:"field"`
			} `json:"errors"`
		}
		_ = json.Unmarshal(body, &problem) // without a detail, the status stands alone
		e.Detail = problem.Detail
		for _, field := range problem.Errors {
			e.fields = append(e.fields, field.Field)
		}
	}
	return e
}

// retryAfter reads how long to wait, in seconds or until a date; 0 if it does not say.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// errCut says that a response began and has no end.
var errCut = errors.New("the response's body was cut off or did not end in time")

// Body reads up to limit bytes of a response's body, and closes it. It takes that of 101 for empty: there it is the bare
// connection, which has no end, and which the context of the request does not close.
func Body(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err != nil && !errors.Is(err, context.Canceled) {
		err = errCut
	}
	return body, err
}

// ErrInterrupted ends what the user has ended.
var ErrInterrupted = errors.New("interrupted")

// unlessInterrupted puts a text before an error. Where the user has ended a request is of no use to him.
func unlessInterrupted(err error, before string) error {
	if errors.Is(err, ErrInterrupted) {
		return err
	}
	return fmt.Errorf("%s%w", before, err)
}

// Cause returns an error of a request without its method and URL, because callers print them anyway.
func Cause(err error) error {
	if errors.Is(err, context.Canceled) {
		return ErrInterrupted
	}
	if e := (*url.Error)(nil); errors.As(err, &e) {
		if e.Timeout() {
			return errors.New("it timed out")
		}
		return e.Err
	}
	return err
}
