package main

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func TestSIGTERMLetsDeliveriesFinish(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store string) {
		release := make(chan struct{})
		url, events := receiver(t, func(context.Context, alotwebhook.Event) error {
			<-release
			return nil
		})
		p := launch(t, "-dev", "-store", store)
		letGo := sync.OnceFunc(func() { close(release) })
		t.Cleanup(letGo) // runs before the cleanup that waits for the program, even if the test fails
		c := p.as("org_123")
		endpoint := c.register(url)
		_, done := c.complete("sess_123", 82)
		require.Equal(t, done["eventId"], next(t, events).ID)

		p.terminate()
		refusing := func() bool {
			res, err := ownClient.Get(p.url)
			if err == nil {
				_ = res.Body.Close()
			}
			return err != nil
		}
		require.Eventually(t, refusing, patience, 5*time.Millisecond, "the program accepts new requests while it drains")
		letGo() // until here, the program has waited for the attempt
		p.wait()
		require.Empty(t, events)

		if store == "memory" {
			return
		}
		again := launch(t, "-dev", "-store", store).as("org_123")
		delivery := again.deliveries(endpoint, "")[0].(map[string]any)
		require.Equal(t, "delivered", delivery["status"])
		require.EqualValues(t, 1, delivery["attemptCount"])
		require.Empty(t, events)
	})
}

func TestWhatWasEmittedOutlivesTheProgram(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store string) {
		if store == "memory" {
			t.Skip("memory does not outlive the process")
		}
		up := make(chan struct{})
		url, events := receiver(t, func(context.Context, alotwebhook.Event) error {
			select {
			case <-up:
				return nil
			default:
				return context.DeadlineExceeded // any error would do
			}
		})
		// More retries than there is time for before the program is stopped.
		often := strings.TrimSuffix(strings.Repeat("500ms,", 1000), ",")
		first := launch(t, "-dev", "-store", store, "-retries", often)
		c := first.as("org_123")
		endpoint := c.register(url)
		_, done := c.complete("sess_123", 82)
		require.Equal(t, done["eventId"], next(t, events).ID)
		c.finished(endpoint, alotwebhook.StatePending, 1)
		first.stop()

		close(up)
		c = launch(t, "-dev", "-store", store, "-retries", often).as("org_123")
		delivery := c.finished(endpoint, alotwebhook.StateDelivered, 1)[0].(map[string]any)
		require.Equal(t, done["eventId"], delivery["eventId"])
		status, _ := c.do("GET", "/v1/candidates/sess_123", "")
		require.Equal(t, http.StatusOK, status)
	})
}

func TestSeveralProcessesShareOnePostgreSQL(t *testing.T) {
	t.Parallel()
	store := stores["postgres"](t)
	url, events := receiver(t, accept)
	programs := make([]*process, 3)
	for i := range programs { // all start at the same time on an empty database
		programs[i] = begin(t, "-dev", "-store", store)
	}
	for _, p := range programs {
		p.listening()
	}
	endpoint := programs[0].as("org_123").register(url)
	var want, got []string
	for i, p := range programs {
		status, done := p.as("org_123").complete("sess_"+strings.Repeat("x", i+1), 50)
		require.Equal(t, http.StatusCreated, status, done)
		want = append(want, done["eventId"].(string))
	}
	for range want {
		got = append(got, next(t, events).ID)
	}
	require.ElementsMatch(t, want, got)
	for _, p := range programs {
		p.as("org_123").finished(endpoint, alotwebhook.StateDelivered, len(want))
	}
	require.Empty(t, events)
}
