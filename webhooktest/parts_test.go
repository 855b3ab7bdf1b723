package webhooktest_test

import (
	"context"
	"crypto/hmac"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/alot/alotwebhook"
)

// bodyLimit is the largest body of a right receiver, in bytes: a little more than the
// largest payload.
const bodyLimit = 300 << 10

// parts is a receiver whose parts a test can replace by wrong ones.
type parts struct {
	*desk
	method  func(r *http.Request) bool
	encoded func(r *http.Request) bool
	read    func(w http.ResponseWriter, r *http.Request) (body []byte, status int)
	verify  func(r *http.Request, body []byte) bool
	refuse  func(w http.ResponseWriter, r *http.Request, body []byte)
	parse   func(body []byte) (alotwebhook.Event, error)
	handle  func(r *http.Request, e alotwebhook.Event) (status int)
}

func rightParts() *parts {
	p := &parts{desk: &desk{}}
	p.method = func(r *http.Request) bool { return r.Method == http.MethodPost }
	p.encoded = func(r *http.Request) bool { return r.Header.Get("Content-Encoding") != "" }
	p.read = func(w http.ResponseWriter, r *http.Request) ([]byte, int) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
		if err != nil {
			return nil, http.StatusRequestEntityTooLarge
		}
		return body, 0
	}
	p.verify = func(r *http.Request, body []byte) bool {
		lines := r.Header[alotwebhook.SignatureHeader]
		return len(lines) == 1 && alotwebhook.Verify(body, lines[0], secret) == nil
	}
	p.refuse = func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	}
	p.parse = alotwebhook.ParseEvent
	one := make(chan struct{}, 1)
	p.handle = func(_ *http.Request, e alotwebhook.Event) int {
		one <- struct{}{}
		defer func() { <-one }()
		if e.Type == alotwebhook.EventCandidateCompleted {
			p.actOnce(e.ID)
		}
		return http.StatusOK
	}
	return p
}

func (p *parts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.method(r) {
		http.Error(w, "", http.StatusMethodNotAllowed)
		return
	}
	if p.encoded(r) {
		http.Error(w, "", http.StatusUnsupportedMediaType)
		return
	}
	body, status := p.read(w, r)
	if status != 0 {
		http.Error(w, "", status)
		return
	}
	if !p.verify(r, body) {
		p.refuse(w, r, body)
		return
	}
	e, err := p.parse(body)
	if err != nil {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	w.WriteHeader(p.handle(r, e))
}

func signatureOf(r *http.Request) string { return r.Header.Get(alotwebhook.SignatureHeader) }

func macOf(h func() hash.Hash, body []byte, key string) []byte {
	m := hmac.New(h, []byte(key))
	m.Write(body)
	return m.Sum(nil)
}

// recorder is a testing.TB that records failures instead of failing the test.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.TB.Context() }
func (r *recorder) Logf(string, ...any)      {}
func (r *recorder) Errorf(format string, a ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, a...))
}

// found returns the names of the checks that failed.
func (r *recorder) found() (names []string) {
	for _, e := range r.errors {
		name, _, _ := strings.Cut(strings.TrimPrefix(e, "webhooktest: "), ":")
		names = append(names, name)
	}
	return slices.Clip(names)
}
