package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A request is written whole into a buffer before it is sent, so that one Write of the
// connection sends it, and so that it can be sent once more. Its length is known then, whatever
// the host's own transport has made of its body: no request is chunked.

// buffers holds those for requests of a usual size.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled is the size of the largest buffer that is kept for later requests.
const maxPooled = 64 << 10

// encode writes the request into a buffer, and closes its Body.
func (r *request) encode() error {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if r.URL != nil {
		r.uri = r.URL.RequestURI()
	}
	if err := r.check(); err != nil {
		return err
	}
	r.bytes = buffers.Get().(*bytes.Buffer)
	if err := r.write(r.bytes); err != nil {
		r.free()
		return fmt.Errorf("cannot write the request: %w", err)
	}
	return nil
}

func (r *request) check() error {
	switch {
	case r.URL == nil || r.URL.Host == "":
		return errors.New("the request has no host")
	case r.URL.Scheme != "http" && r.URL.Scheme != "https":
		return fmt.Errorf("unsupported scheme %q", r.URL.Scheme)
	case !isToken(r.Method):
		return fmt.Errorf("invalid method %q", r.Method)
	case !isVisible(r.hostHeader()):
		return fmt.Errorf("invalid host %q: write it in ASCII, in its xn-- form", r.hostHeader())
	case !isVisible(r.uri):
		return errors.New("the path or the query of the URL has a blank or a control character in it")
	}
	for name := range r.Header {
		if !isToken(name) {
			return fmt.Errorf("invalid name of a header field: %q", name)
		}
	}
	return nil
}

// hostHeader returns the value of the field Host.
func (r *request) hostHeader() string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}

// free gives the buffer back. No Write may be using it.
func (r *request) free() {
	if r.bytes == nil {
		return
	}
	if r.bytes.Cap() <= maxPooled {
		r.bytes.Reset()
		buffers.Put(r.bytes)
	}
	r.bytes = nil
}

// write writes the header and the body.
func (r *request) write(b *bytes.Buffer) error {
	body, length := io.Reader(r.Body), r.ContentLength
	switch {
	case r.Body == nil || r.Body == http.NoBody:
		body, length = http.NoBody, 0
	case length <= 0: // it is not known
		all, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		body, length = bytes.NewReader(all), int64(len(all))
	}
	r.writeHeader(b, length)
	n, err := io.Copy(b, body)
	if err == nil && n != length {
		err = fmt.Errorf("its body has %d bytes, and its ContentLength says %d", n, length)
	}
	return err
}

// writeHeader writes the request line and the fields, in the order of [http.Request.Write].
func (r *request) writeHeader(b *bytes.Buffer, length int64) {
	for _, s := range [...]string{r.Method, " ", r.uri, " HTTP/1.1\r\n"} {
		b.WriteString(s)
	}
	writeField(b, "Host", r.hostHeader())
	writeFields(b, "User-Agent", r.Header["User-Agent"])
	if r.Close {
		writeField(b, "Connection", "close")
	}
	b.WriteString("Content-Length: ")
	b.Write(strconv.AppendInt(b.AvailableBuffer(), length, 10))
	b.WriteString("\r\n")
	var some [16]string
	names := some[:0]
	for name := range r.Header {
		if !isOurs(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		writeFields(b, name, r.Header[name])
	}
	b.WriteString("\r\n")
}

// isOurs reports whether a field is written apart, or says how the request is sent, which is not
// up to the header.
func isOurs(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	}
	return false
}

func writeFields(b *bytes.Buffer, name string, values []string) {
	for _, value := range values {
		writeField(b, name, value)
	}
}

// writeField writes a field. A line break in its value becomes a blank, so that no value can
// begin another field.
func writeField(b *bytes.Buffer, name, value string) {
	b.WriteString(name)
	b.WriteString(": ")
	if !isVisible(value) {
		value = breaks.Replace(strings.Trim(value, " \t\r\n"))
	}
	b.WriteString(value)
	b.WriteString("\r\n")
}

var breaks = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ")

// isToken reports whether s may be a method or the name of a field (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenBytes = func() (may [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		may[c] = true
	}
	return may
}()

// isVisible reports whether s is of visible ASCII characters alone.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
