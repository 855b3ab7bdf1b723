package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/egress"
	"github.com/alot/alotwebhook/internal/fault"
	"github.com/alot/alotwebhook/internal/guard"
	"github.com/alot/alotwebhook/internal/text"
)

// Sender makes attempts.
type Sender struct {
	// Host calls what the host has put around the transport.
	Host *caught.Host
	// Transport sends the requests: a [Transport], or what the host has put around one.
	Transport http.RoundTripper
	// Timeout bounds an attempt.
	Timeout time.Duration
	// KeepBody is how many bytes of a response's body are kept, MaxBody how many are read, and
	// KeepHeader how many of its headers are kept.
	KeepBody, MaxBody, KeepHeader int
	// ProxyIsAway reports whether the host's proxy does not answer, and how long to wait then.
	ProxyIsAway func(context.Context) (wait time.Duration, away bool)

	wrapped bool // Transport is the host's
}

// Result is what an attempt came to.
type Result struct {
	Status   int     // of the response; 0 if there was none
	Failure  Failure // "" after a success
	Detail   string  // a sentence for the customer, which every store takes
	Body     string  // the beginning of the response's body
	Header   string  // of the response, as lines
	Duration time.Duration
	// RetryAfter is how long the receiver asked to be left alone; 0 if it did not. After a fault of
	// the host's proxy it is how long to wait.
	RetryAfter time.Duration
	// Final is set if every further attempt would fail, too.
	Final bool
}

// Send makes a POST request with this header and payload, as an attempt that began at that time. It
// is made with an identity, or nil. Of the header, own are the endpoint's, whose values are taken out
// of what is kept of the response. ok is false if it was cut off, or the host's proxy failed: such an
// attempt does not count.
func (s *Sender) Send(all *Attempts, to *url.URL, as *Identity, own, header http.Header, payload []byte, began time.Time) (r Result, ok bool) {
	call := s.Host.Call
	if s.wrapped {
		call = s.Host.Apart
	}
	if err := call("Config.WrapTransport", func() error { r, ok = s.send(all, to, as, own, header, payload, began); return nil }); err != nil {
		return Broken(), true
	}
	return r, ok
}

func (s *Sender) send(all *Attempts, to *url.URL, as *Identity, own, header http.Header, payload []byte, began time.Time) (r Result, ok bool) {
	attempt := all.Begin(s.Timeout)
	attempt.as = as
	defer attempt.End()
	resp, err := s.Transport.RoundTrip(post(to, header, payload).WithContext(attempt))
	if err != nil {
		if all.AreCutOff() {
			return r, false
		}
		var isFault bool
		if r.RetryAfter, isFault = s.isFault(all, err); isFault {
			return r, false
		}
		r.Failure, r.Detail = Explain(err)
	} else {
		r.Status, r.RetryAfter = resp.StatusCode, RetryAfter(resp.Header, began)
		r.Failure, r.Detail = ExplainStatus(r.Status, resp.Header.Get("Location"))
		if attempt.Demanded() && lacksCertificate(r.Status) {
			r.Detail = join(r.Detail, "the server had demanded a client certificate, and none was sent")
		}
		var hidden mask
		if s.KeepHeader > 0 || s.KeepBody > 0 {
			hidden = newMask(own)
		}
		r.Header = keptHeader(resp.Header, s.KeepHeader, hidden)
		var whole bool
		if r.Body, whole = readBody(resp, s.KeepBody, s.MaxBody, hidden, attempt.End); !whole {
			r.Detail = join(r.Detail, "the response's body broke off or did not end")
		}
	}
	if attempt.Repeats() > 0 {
		r.Detail = join(r.Detail, "the request was repeated, because a kept connection ended before a response")
	}
	r.Detail = text.Storable(r.Detail)
	if r.Failure != BlockedAddress { // the time would tell of the host's own network
		r.Duration = time.Since(began)
	}
	return r, true
}

// Wrap has wrap, which may be nil, wrap the transport. It returns what is wrong with wrap, or "".
func (s *Sender) Wrap(wrap func(http.RoundTripper) http.RoundTripper) (problem string) {
	if wrap == nil {
		return ""
	}
	err := s.Host.Call("Config.WrapTransport", func() error { s.Transport = wrap(s.Transport); return nil })
	s.wrapped = true
	switch {
	case err != nil:
		return "panicked, and the log has the stack; return a transport that sends through the one it was given"
	case fault.IsNil(s.Transport):
		return "returned nil; return a transport that sends through the one it was given"
	}
	return ""
}

// isFault reports whether the host's proxy is to blame for the error of an attempt, and how long to
// wait then. A tunnel that ends or hangs may be the proxy's work: it is asked.
func (s *Sender) isFault(all *Attempts, err error) (wait time.Duration, ok bool) {
	if wait, ok = egress.IsFault(err); ok || s.ProxyIsAway == nil {
		return wait, ok
	}
	if failure, _ := Explain(err); failure != Timeout && failure != ConnectionReset {
		return 0, false
	}
	return s.ProxyIsAway(all.Context())
}

// post returns a request without a context.
func post(to *url.URL, header http.Header, payload []byte) *http.Request {
	return &http.Request{
		Method: http.MethodPost, URL: to, Host: to.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(payload)), ContentLength: int64(len(payload)),
	}
}

// lacksCertificate reports whether a status may be for want of a client certificate. 400 is what nginx
// answers, whose own words for it are 495 and 496.
func lacksCertificate(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, 495, 496:
		return true
	}
	return false
}

// join puts a further clause behind a detail, or begins one.
func join(detail, clause string) string {
	if detail == "" {
		return clause
	}
	return detail + "; " + clause
}

// maxDetail is the longest detail, in bytes.
const maxDetail = 256

// Unsendable is the result without a request to an endpoint that nothing can be sent to: its URL is
// not allowed, or its secret does not open. The detail is the text of err, which must not hold a
// secret.
func Unsendable(err error) Result {
	if errors.Is(err, guard.ErrBlocked) {
		return Result{Failure: BlockedAddress, Detail: BlockedDetail}
	}
	detail := text.Storable(strings.TrimPrefix(err.Error(), fault.Prefix))
	return Result{Failure: NotSendable, Detail: text.Clip(detail, maxDetail-len("…"))}
}

// Erased is the result without a request of a delivery whose payload is gone.
func Erased() Result {
	return Result{Failure: NotSendable, Detail: "the payload was erased", Final: true}
}

// Broken is the result of an attempt that ended by a panic of what the host has put around the transport:
// whether a request was made is not known.
func Broken() Result {
	return Result{Failure: NotSendable, Detail: "the sender's own code failed while it sent; its operator has to mend that"}
}

// Unconverted is the result without a request of a delivery whose payload the host could not make.
func Unconverted() Result {
	return Result{Failure: NotConverted, Detail: "the sender could not make the payload in the version of the endpoint; no request was made"}
}
