package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// lastResort ends a test that hangs; no machine needs so long.
const lastResort = 10 * time.Minute

// A change that is rolled back, between two that are committed, emits nothing.
func TestProductEmitsInItsTransaction(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), lastResort)
	defer cancel()
	server := webhooktest.NewServer(t)
	p, err := openProduct(ctx, filepath.Join(t.TempDir(), "product.db"))
	check(t, err)
	defer p.close()
	endpoint, err := p.register(ctx, server.URL+"/alot/webhook")
	check(t, err)
	server.AddSecret(endpoint.Secret)
	defer startDispatcher(t, p.dispatcher)()

	first, err := p.complete(ctx, "sess_1", 82)
	check(t, err)
	never, err := p.complete(ctx, "sess_2", -1)
	if !errors.Is(err, errScore) {
		t.Fatalf("the error is %v", err)
	}
	last, err := p.complete(ctx, "sess_3", 91)
	check(t, err)

	received, err := server.Wait(ctx, 2)
	check(t, err)
	came := map[string]bool{}
	for _, r := range received {
		check(t, r.Err)
		came[r.Event.ID] = true
	}
	if len(received) != 2 || !came[first.ID] || !came[last.ID] {
		t.Fatalf("%v came, want %s and %s", came, first.ID, last.ID)
	}
	if _, err := p.dispatcher.Event(ctx, never.ID); !errors.Is(err, alotwebhook.ErrNotFound) {
		t.Fatalf("the event of the rollback is stored: %v", err)
	}
	var rows int
	check(t, p.db.QueryRowContext(ctx, "SELECT count(*) FROM candidates").Scan(&rows))
	if rows != 2 {
		t.Fatalf("there are %d candidates, want 2", rows)
	}
}

// startDispatcher runs the dispatcher. The function that it returns stops it, and
// waits until everything is recorded.
func startDispatcher(t *testing.T, d *alotwebhook.Dispatcher) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return func() {
		cancel()
		check(t, <-ended)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
