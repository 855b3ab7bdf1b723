package settings

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// response is what an operation sends back.
type response struct {
	status int
	body   any // encoded as JSON; nil for no body
	header http.Header
	made   string // the id of what the request made, if a repeated request is to find it by that
}

func (s response) with(header, value string) response {
	if s.header == nil {
		s.header = http.Header{}
	}
	s.header.Set(header, value)
	return s
}

// repeated adds the header that marks a response to a repeated request, if before
// is true.
func (s response) repeated(before bool) response {
	if before {
		return s.with("Idempotency-Replayed", "true")
	}
	return s
}

// write sends the response. No cache may keep it, because it can hold a secret or
// personal data.
func (s response) write(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	for name, values := range s.header {
		h[name] = values
	}
	if s.body == nil {
		w.WriteHeader(s.status)
		return
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // & in a URL stays readable; nosniff keeps browsers from taking JSON for HTML
	if err := enc.Encode(s.body); err != nil {
		panic(err) // every body of this package can be encoded
	}
	h.Set("Content-Type", contentType)
	w.WriteHeader(s.status)
	_, _ = w.Write(body.Bytes()) // if that fails, the client has gone
}

// at returns a path below that of the API, as the client sees it: with the prefix that the host
// stripped.
func (a *api) at(r *http.Request, path string) string {
	base, _ := a.place(r)
	return at(r, base+path)
}

// at returns a path as the client sees it.
func at(r *http.Request, path string) string {
	stripped := strings.Join(strippedFrom(r, segments(r.URL.EscapedPath())), "/")
	return rooted(stripped) + path
}

// instant is a time in the form of the API: UTC with three decimals.
type instant time.Time

// IsZero makes omitzero leave the zero time out.
func (t instant) IsZero() bool { return time.Time(t).IsZero() }

// MarshalJSON implements [json.Marshaler].
func (t instant) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}
