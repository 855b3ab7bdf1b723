package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// backend is the receiver behind a proxy. It notes what it was sent, once it has all of it. To /early it
// answers before it reads.
type backend struct {
	listener net.Listener
	server   *http.Server

	mu  sync.Mutex
	log *os.File
}

func newBackend(log string) (*backend, error) {
	b := &backend{}
	b.server = &http.Server{Handler: b, IdleTimeout: time.Hour, ReadHeaderTimeout: time.Minute}
	var err error
	if b.log, err = os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0); err != nil {
		return nil, err
	}
	if b.listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		_ = b.log.Close()
		return nil, err
	}
	go func() { _ = b.server.Serve(b.listener) }()
	return b, nil
}

func (b *backend) port() int { return b.listener.Addr().(*net.TCPAddr).Port }

func (b *backend) stop() {
	_ = b.server.Close()
	_ = b.log.Close()
}

// ServeHTTP implements [http.Handler].
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/early" {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	size, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	_, err = fmt.Fprintf(b.log, "%s %d\n", delivery(r), size)
	b.mu.Unlock()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func delivery(r *http.Request) string {
	if id := r.Header.Get(alotwebhook.DeliveryHeader); id != "" {
		return id
	}
	return "-"
}

// received returns how often each delivery was handled with all its bytes, by what the receivers noted.
func received(log string, sizes map[string]int) (map[string]int, error) {
	f, err := os.Open(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	times := map[string]int{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var id string
		var size int
		if _, err := fmt.Sscan(lines.Text(), &id, &size); err != nil {
			return nil, fmt.Errorf("the receiver noted %q: %w", lines.Text(), err)
		}
		if size == sizes[id] {
			times[id]++
		}
	}
	return times, lines.Err()
}
