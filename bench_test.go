package alotwebhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alot/alotwebhook"
)

const benchSecret alotwebhook.Secret = "whsec_0123456789abcdef0123456789abcdef"

// benchSizes are the sizes of payloads in the README's table.
var benchSizes = []struct {
	name  string
	bytes int
}{{"300B", 300}, {"4KiB", 4 << 10}, {"256KiB", 256 << 10}}

// benchPayload returns a payload of exactly n bytes, with fields of ordinary length.
func benchPayload(b *testing.B, n int) []byte {
	b.Helper()
	e := alotwebhook.Event{
		ID:             "evt_01jcc7wjz3e4qv8x5k2m9n6p0r",
		Type:           alotwebhook.EventCandidateCompleted,
		OrganizationID: "org_123",
	}
	var data strings.Builder
	data.WriteString(`{"sessionId":"sess_123","score":82,"status":"COMPLETED"`)
	const answer = `,"answer":{"question":"q_1234","text":"what the candidate wrote","points":7.5,"correct":true}`
	for len(e.Payload())+data.Len()+2*len(answer) < n {
		data.WriteString(answer)
	}
	data.WriteString(`,"note":"`)
	data.WriteString(strings.Repeat("x", n-len(e.Payload())-data.Len()-2))
	data.WriteString(`"}`)
	e.Data = json.RawMessage(data.String())
	if body := e.Payload(); len(body) == n {
		return body
	}
	b.Fatalf("not %d bytes", n)
	return nil
}

// bare verifies as one would write it by hand with crypto/hmac. The other figures are
// compared with its.
func bare(body []byte, signature string, secret []byte) bool {
	m := hmac.New(sha256.New, secret)
	m.Write(body)
	got, err := hex.DecodeString(strings.TrimPrefix(signature, "sha256="))
	return err == nil && hmac.Equal(got, m.Sum(nil))
}

func BenchmarkBareHMAC(b *testing.B) {
	secret := []byte(benchSecret)
	bySize(b, func(b *testing.B, body []byte, signature string) {
		for b.Loop() {
			if !bare(body, signature, secret) {
				b.Fatal("refused")
			}
		}
	})
}

func BenchmarkSign(b *testing.B) {
	bySize(b, func(b *testing.B, body []byte, _ string) {
		for b.Loop() {
			alotwebhook.Sign(body, benchSecret)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	bySize(b, func(b *testing.B, body []byte, signature string) {
		for b.Loop() {
			if err := alotwebhook.Verify(body, signature, benchSecret); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkVerifier(b *testing.B) {
	v, err := alotwebhook.NewVerifier(benchSecret)
	if err != nil {
		b.Fatal(err)
	}
	bySize(b, func(b *testing.B, body []byte, signature string) {
		for b.Loop() {
			if err := v.Verify(body, signature); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkParseEvent(b *testing.B) {
	bySize(b, func(b *testing.B, body []byte, _ string) {
		for b.Loop() {
			if _, err := alotwebhook.ParseEvent(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkParseRequest measures the way from a request to its verified and strictly
// parsed event.
func BenchmarkParseRequest(b *testing.B) {
	v, err := alotwebhook.NewVerifier(benchSecret)
	if err != nil {
		b.Fatal(err)
	}
	bySize(b, func(b *testing.B, body []byte, signature string) {
		r, rewind := benchRequest(body, signature)
		for b.Loop() {
			rewind()
			if _, err := v.ParseRequest(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReceiver measures the whole handler, with the data decoded into its type.
func BenchmarkReceiver(b *testing.B) {
	v, err := alotwebhook.NewVerifier(benchSecret)
	if err != nil {
		b.Fatal(err)
	}
	receiver := alotwebhook.NewReceiver(v, nil)
	alotwebhook.On(receiver, alotwebhook.EventCandidateCompleted,
		func(context.Context, alotwebhook.Event, alotwebhook.CandidateCompleted) error { return nil })
	bySize(b, func(b *testing.B, body []byte, signature string) {
		r, rewind := benchRequest(body, signature)
		w := httptest.NewRecorder()
		for b.Loop() {
			rewind()
			receiver.ServeHTTP(w, r)
		}
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	})
}

// bySize runs a benchmark for each size of payload.
func bySize(b *testing.B, run func(b *testing.B, body []byte, signature string)) {
	for _, size := range benchSizes {
		b.Run(size.name, func(b *testing.B) {
			body := benchPayload(b, size.bytes)
			b.SetBytes(int64(size.bytes))
			b.ReportAllocs()
			run(b, body, alotwebhook.Sign(body, benchSecret))
		})
	}
}

// benchRequest returns a request, and a function that makes its body readable again.
func benchRequest(body []byte, signature string) (r *http.Request, rewind func()) {
	reader := bytes.NewReader(body)
	r = httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set(alotwebhook.SignatureHeader, signature)
	r.Body = io.NopCloser(reader)
	r.ContentLength = int64(len(body))
	return r, func() { reader.Reset(body) }
}
