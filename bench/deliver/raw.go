package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/alot/alotwebhook"
)

// payloadSize is the length of every payload, in bytes.
const payloadSize = 300

const benchSecret alotwebhook.Secret = "the secret of every endpoint here"

// newEvent returns an event whose payload has payloadSize bytes.
func newEvent(organizationID string) (alotwebhook.Event, error) {
	data := struct {
		SessionID string `json:"sessionId"`
	}{}
	e, err := alotwebhook.NewEvent("candidate.completed", organizationID, data)
	if err != nil {
		return e, err
	}
	missing := payloadSize - len(e.Payload())
	data.SessionID = string(bytes.Repeat([]byte{'x'}, missing))
	e.Data = fmt.Appendf(nil, `{"sessionId":%q}`, data.SessionID)
	return e, nil
}

// raw returns a contender that posts from inFlight goroutines and stores nothing. It shows
// the limit of net/http.
func raw(inFlight int) contender {
	return contender{name: "raw net/http", prepare: func(_ context.Context, rx *receiver, n int) (work, error) {
		e, err := newEvent("org_1")
		if err != nil {
			return work{}, err
		}
		transport := &http.Transport{MaxIdleConns: inFlight, MaxIdleConnsPerHost: inFlight}
		client := &http.Client{Transport: transport}
		run := func(ctx context.Context) error { return postAll(ctx, client, rx.url, e.Payload(), inFlight, n) }
		return work{run: run, close: func() error { transport.CloseIdleConnections(); return nil }}, nil
	}}
}

func postAll(ctx context.Context, client *http.Client, url string, body []byte, inFlight, n int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for range inFlight {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := post(ctx, client, url, body); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(alotwebhook.SignatureHeader, alotwebhook.Sign(body, benchSecret))
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the receiver responded with %s", res.Status)
	}
	return nil
}
