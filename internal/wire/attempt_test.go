package wire_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/wire"
)

func TestAttemptIsAContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all wire.Attempts
		unasked, asked := all.Begin(time.Minute), all.Begin(time.Minute)
		defer unasked.End()
		defer asked.End()
		deadline, ok := unasked.Deadline()
		require.True(t, ok)
		require.Equal(t, time.Now().Add(time.Minute), deadline)
		child, cancel := context.WithTimeout(asked, time.Hour)
		defer cancel()
		time.Sleep(time.Minute - 1)
		require.NoError(t, unasked.Err())
		require.NoError(t, asked.Err())
		<-asked.Done()
		require.Equal(t, deadline, time.Now())
		require.Equal(t, context.DeadlineExceeded, asked.Err())
		require.Equal(t, context.DeadlineExceeded, unasked.Err())
		<-unasked.Done()
		<-child.Done()
		require.Equal(t, context.DeadlineExceeded, context.Cause(child))
	})
}

func TestCutOffEndsAttempts(t *testing.T) {
	t.Parallel()
	var all wire.Attempts
	over, unasked, asked := all.Begin(patience), all.Begin(patience), all.Begin(patience)
	over.End()
	require.Equal(t, context.Canceled, over.Err())
	done := asked.Done()
	ctx := all.Context()
	require.NoError(t, ctx.Err())
	require.False(t, all.AreCutOff())
	all.CutOff()
	require.True(t, all.AreCutOff())
	require.Equal(t, context.Canceled, ctx.Err())
	<-done
	for _, a := range []*wire.Attempt{unasked, asked, all.Begin(patience)} {
		require.Equal(t, context.Canceled, a.Err())
		<-a.Done()
		a.End()
		a.End()
	}
}

func TestTheEndOfAnAttemptEndsItsRequest(t *testing.T) {
	t.Parallel()
	for name, respond := range map[string]string{"before the response": "", "in the body": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"} {
		for who, end := range map[string]func(*wire.Attempts, *wire.Attempt){
			"cut off": func(all *wire.Attempts, _ *wire.Attempt) { all.CutOff() },
			"ended":   func(_ *wire.Attempts, a *wire.Attempt) { a.End() },
		} {
			t.Run(name+", "+who, func(t *testing.T) {
				t.Parallel()
				var all wire.Attempts
				a := all.Begin(patience)
				defer a.End()
				s := serveRaw(t, false, func(_ int64, conn net.Conn) {
					_ = readRequest(bufio.NewReader(conn))
					_, _ = io.WriteString(conn, respond)
					end(&all, a)
					_, _ = io.Copy(io.Discard, conn) // until the client closes
				})
				req, err := http.NewRequestWithContext(a, http.MethodPost, s.url, strings.NewReader("x"))
				require.NoError(t, err)
				resp, err := s.transport(t, nil).RoundTrip(req)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
				}
				require.ErrorIs(t, err, context.Canceled)
			})
		}
	}
}

// A kept connection is not asked for a channel. Its deadline ends the request all the same.
func TestTheDeadlineOfAnAttempt(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, false, func(_ int64, conn net.Conn) {
		in := bufio.NewReader(conn)
		_ = readRequest(in)
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		_, _ = io.Copy(io.Discard, in)
	})
	transport := s.transport(t, nil)
	requireStatus(t, http.StatusNoContent, post(t, transport, s.url, 1))
	a := new(wire.Attempts).Begin(time.Millisecond)
	defer a.End()
	req, err := http.NewRequestWithContext(a, http.MethodPost, s.url, strings.NewReader("x"))
	require.NoError(t, err)
	_, err = transport.RoundTrip(req)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualValues(t, 1, s.connections.Load())
	require.Zero(t, a.Repeats())
}

// BenchmarkRoundTrip measures requests over a kept connection, the server's part included.
func BenchmarkRoundTrip(b *testing.B) {
	for scheme, start := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
		b.Run(scheme, func(b *testing.B) {
			server := start(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
			defer server.Close()
			transport := newTransport(b, func(c *wire.Config) {
				if cert := server.Certificate(); cert != nil {
					c.RootCAs = x509.NewCertPool()
					c.RootCAs.AddCert(cert)
				}
			})
			b.ReportAllocs()
			for b.Loop() {
				requireStatus(b, http.StatusNoContent, post(b, transport, server.URL, 300))
			}
		})
	}
}
