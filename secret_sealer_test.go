package alotwebhook_test

import (
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// remoteSealer is a sealer over a network, which may be down for those texts that are longer than some.
type remoteSealer struct {
	down   atomic.Bool
	beyond int
	opened atomic.Int64
}

func (*remoteSealer) Seal(_ string, secret alotwebhook.Secret) (alotwebhook.Secret, error) {
	return "x" + secret, nil
}

func (s *remoteSealer) Open(_ string, sealed alotwebhook.Secret) (alotwebhook.Secret, error) {
	s.opened.Add(1)
	if s.down.Load() && len(sealed) > s.beyond {
		return "", errors.New("vault.internal.invalid: key customers-7: 503")
	}
	return sealed[1:], nil
}

// A sealer that fails costs no attempt, however long that takes, and no backlog is claimed over and
// over. A process sends again soon after it works.
func TestDeliveriesWaitForTheSealer(t *testing.T) {
	t.Parallel()
	for name, beyond := range map[string]int{"secret": 0, "headers": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log lockedBuffer
				var released atomic.Int64
				sealer := &remoteSealer{beyond: beyond}
				w := newWorld(t, alotwebhook.Config{
					Sealer: sealer, Logger: slog.New(slog.NewTextHandler(&log, nil)),
					Observer: &alotwebhook.Observer{Finished: func(r alotwebhook.FinishReport) { released.Add(int64(r.Outcomes - len(r.Attempts))) }},
				}, &receivers{})
				e, err := w.CreateEndpoint(t.Context(), credentialed(t))
				require.NoError(t, err)
				sealer.down.Store(true)
				sealer.opened.Store(0)
				defer w.run(t)()
				events := make([]alotwebhook.Event, 200)
				for i := range events {
					events[i] = newEvent(t)
				}
				require.NoError(t, w.Emit(t.Context(), events...))
				time.Sleep(4 * time.Hour)
				synctest.Wait()
				require.Empty(t, w.net.requests())
				require.Contains(t, log.String(), "Config.Sealer fails")
				require.Contains(t, log.String(), "customers-7")
				const waits = 4 * 3600 / 15 // at last, each is at least half of 30 s
				require.Less(t, sealer.opened.Load(), int64(4*waits))
				require.Less(t, released.Load(), int64(4*waits))

				sealer.down.Store(false)
				time.Sleep(31 * time.Second)
				require.NotEmpty(t, w.net.requests())
				time.Sleep(time.Minute)
				synctest.Wait()
				for _, event := range events {
					d := w.delivery(t, event, e)
					require.Equal(t, alotwebhook.StateDelivered, d.State)
					require.Equal(t, 1, d.AttemptCount, "nothing else is counted")
				}
				require.Contains(t, log.String(), "Config.Sealer works again")
				opened := sealer.opened.Load()
				w.emit(t)
				time.Sleep(time.Minute)
				require.Equal(t, opened, sealer.opened.Load(), "it is remembered what was opened")
			})
		})
	}
}

// The shortest failure is over after a second.
func TestAProofAfterAFailureOfTheSealer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sealer := &remoteSealer{}
		w := newWorld(t, alotwebhook.Config{Sealer: sealer, ProveURLs: true}, &receivers{
			respond: func(*http.Request, int) (*http.Response, error) { return status(http.StatusOK), nil },
		})
		e := w.endpoint(t, "a.example.com")
		sealer.down.Store(true)
		_, err := w.ProveEndpoint(t.Context(), e.ID)
		require.ErrorIs(t, err, alotwebhook.ErrUnproven)
		require.ErrorContains(t, err, "the sender could not open the secret")
		require.NotContains(t, err.Error(), "vault.internal.invalid", "customers read it")
		sealer.down.Store(false)
		time.Sleep(time.Second)
		_, err = w.ProveEndpoint(t.Context(), e.ID)
		require.ErrorContains(t, err, "the response has no body", "it was asked")
		require.Len(t, w.net.requests(), 1)
	})
}

// The keys of NewSealer do not change while a process runs. Customers do not read which there are.
func TestASecretThatNeverOpens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		w := newWorld(t, alotwebhook.Config{Sealer: sealing(t, "2025")}, &receivers{})
		e := w.endpoint(t, "a.example.com")
		w = newWorldOn(t, w.store, alotwebhook.Config{Sealer: sealing(t, "2026"), Logger: slog.New(slog.NewTextHandler(&log, nil))}, w.net)
		defer w.run(t)()
		event := w.emit(t)
		time.Sleep(time.Hour)
		d := w.delivery(t, event, e)
		require.Equal(t, alotwebhook.StateFailed, d.State)
		require.Equal(t, alotwebhook.ReasonUnsendable, d.LastReason)
		require.Len(t, d.Attempts, 3)
		for _, a := range d.Attempts {
			require.Contains(t, a.Detail, "the sender could not open the secret")
			require.NotContains(t, a.Detail, "2025")
		}
		require.Contains(t, log.String(), `key \"2025\"`)
	})
}
