package webhookclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Errors that a [Problem] is, for [errors.Is].
var (
	// ErrNotFound says that your organization has nothing of this id.
	ErrNotFound = errors.New("webhookclient: not found")
	// ErrCursorExpired says that payloads of events behind a cursor may have been erased since it
	// was given. Begin again without it, from a time.
	ErrCursorExpired = errors.New("webhookclient: cursor expired")
)

// Problem is a response that is no success, as the API describes it (RFC 9457).
type Problem struct {
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail"`
	Errors []FieldProblem `json:"errors"`
	// Missing are the rights that the request lacks.
	Missing []string `json:"missing"`
	// RetryAfter is how long the server asks to wait; 0 if it does not say.
	RetryAfter time.Duration `json:"-"`

	foreign bool // not from the API
}

// FieldProblem says what is wrong with one field, parameter or header of a request.
type FieldProblem struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error returns the status and what the API says about it.
func (p *Problem) Error() string {
	return strings.TrimSpace(fmt.Sprintf("webhookclient: %d %s: %s", p.Status, p.Title, p.Detail))
}

// Is reports whether the problem is [ErrNotFound] or [ErrCursorExpired].
func (p *Problem) Is(target error) bool {
	return target == ErrNotFound && p.Status == http.StatusNotFound || target == ErrCursorExpired && p.Status == http.StatusGone
}

// passes reports whether the same request may succeed later. A conflict passes if the server says when,
// or if it is with an earlier try of the same call: no other request has its Idempotency-Key.
func (p *Problem) passes() bool {
	switch p.Status {
	case http.StatusTooManyRequests:
		return true
	case http.StatusConflict:
		return p.RetryAfter > 0 || slices.ContainsFunc(p.Errors, func(f FieldProblem) bool { return f.Field == keyHeader })
	}
	return p.Status >= 500 && p.Status != http.StatusNotImplemented
}

// problemOf returns the problem of a response. One that is not from the API has its status alone.
func problemOf(resp *http.Response, body []byte) *Problem {
	p := &Problem{}
	if json.Unmarshal(body, p) != nil || p.Status != resp.StatusCode {
		p = &Problem{foreign: true, Detail: "the response is none of the API; is its URL right?"}
		if resp.StatusCode >= 500 {
			p.Detail = "the response is none of the API: something in front of it has answered, such as a proxy that does not reach it"
		}
	}
	p.Status = resp.StatusCode
	if p.Title == "" {
		p.Title = http.StatusText(resp.StatusCode)
	}
	p.RetryAfter = retryAfter(resp.Header.Get("Retry-After"))
	return p
}

// retryAfter returns how long a header asks to wait; 0 if it does not say.
func retryAfter(header string) time.Duration {
	const most = math.MaxInt64 / uint64(time.Second)
	seconds, err := strconv.ParseUint(header, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // which comes with the largest number that there is
		return time.Duration(min(seconds, most)) * time.Second
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return max(time.Until(at), 0)
}
