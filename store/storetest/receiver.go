package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// underWay is how many attempts BenchmarkDeliver makes at once.
const underWay = 200

// receiver is the receiver of BenchmarkDeliver. It answers 204 to everything.
type receiver struct {
	url  string
	want int64 // how many attempts end deliver
	made atomic.Int64
	fail atomic.Int64
	done chan struct{} // closed at the last of them
}

func startReceiver(b *testing.B) *receiver {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})}
	go func() { _ = server.Serve(listener) }() // until Close
	b.Cleanup(func() { _ = server.Close() })
	return &receiver{url: "http://" + listener.Addr().String(), want: int64(b.N), done: make(chan struct{})}
}

// postAll posts n requests from as many goroutines as a dispatcher has.
func (rx *receiver) postAll(b *testing.B, payload []byte, n int) {
	b.Helper()
	transport := &http.Transport{MaxIdleConns: underWay, MaxIdleConnsPerHost: underWay}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var left atomic.Int64
	left.Store(int64(n))
	var g group
	g.run(underWay, func(int) error {
		for left.Add(-1) >= 0 {
			if err := rx.post(b.Context(), client, payload); err != nil {
				return err
			}
		}
		return nil
	})
	g.wg.Wait()
	require.NoError(b, g.err)
}

func (rx *receiver) post(ctx context.Context, client *http.Client, payload []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, rx.url, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(alotwebhook.SignatureHeader, alotwebhook.Sign(payload, "It's a Secret to Everybody"))
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusNoContent {
		err = fmt.Errorf("the receiver answered %s", res.Status)
	}
	return errors.Join(err, res.Body.Close()) // a 204 has no body to be read
}

// dispatcher returns a dispatcher whose attempts rx counts.
func (rx *receiver) dispatcher(b *testing.B, store alotwebhook.Store) *alotwebhook.Dispatcher {
	b.Helper()
	d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
		InFlight:  underWay,
		AllowHTTP: true,
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Logger:    slog.New(slog.DiscardHandler),
		Observer: &alotwebhook.Observer{Finished: func(r alotwebhook.FinishReport) {
			for _, a := range r.Attempts {
				if a.Attempt.Reason != "" {
					rx.fail.Add(1)
				}
				if rx.made.Add(1) == rx.want {
					close(rx.done)
				}
			}
		}},
	})
	require.NoError(b, err)
	return d
}

// deliver runs the dispatcher until all attempts are made and recorded.
func (rx *receiver) deliver(b *testing.B, d *alotwebhook.Dispatcher) {
	b.Helper()
	var wg sync.WaitGroup
	var err error
	ended := make(chan struct{})
	wg.Go(func() {
		defer close(ended)
		err = d.Run(b.Context())
	})
	select {
	case <-rx.done:
	case <-ended:
	}
	require.NoError(b, d.Shutdown(b.Context()))
	wg.Wait()
	require.NoError(b, err)
	require.Zero(b, rx.fail.Load(), "attempts failed")
}
