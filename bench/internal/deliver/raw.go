package deliver

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

const benchSecret alotwebhook.Secret = "the secret of every endpoint here"

// newEvent returns an event whose payload has so many bytes, at least 200.
func newEvent(eventType, organizationID string, payload int) (alotwebhook.Event, error) {
	data := struct {
		SessionID string `json:"sessionId"`
	}{}
	e, err := alotwebhook.NewEvent(eventType, organizationID, data)
	if err != nil {
		return e, err
	}
	missing := payload - len(e.Payload())
	if missing < 0 {
		return e, fmt.Errorf("a payload has at least %d bytes, not %d", payload-missing, payload)
	}
	data.SessionID = string(bytes.Repeat([]byte{'x'}, missing))
	e.Data = fmt.Appendf(nil, `{"sessionId":%q}`, data.SessionID)
	return e, nil
}

// Raw returns a contender that posts from as many goroutines as requests may be in flight, and
// stores nothing. It shows the limit of net/http.
func Raw() Contender {
	return Contender{Name: "raw net/http", prepare: func(_ context.Context, rx *Receiver, l Load) (*work, error) {
		e, err := newEvent(eventType(0), "org_1", l.Payload)
		if err != nil {
			return nil, err
		}
		transport := &http.Transport{MaxIdleConns: l.InFlight, MaxIdleConnsPerHost: l.InFlight}
		client := &http.Client{Transport: transport}
		run := func(ctx context.Context, _ int) (used, error) {
			return used{}, postAll(ctx, client, rx.URL, e.Payload(), l.InFlight, l.Deliveries)
		}
		return &work{run: run, close: func() error { transport.CloseIdleConnections(); return nil }}, nil
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
