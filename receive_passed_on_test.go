package alotwebhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
)

// unmarked returns a Deduper that claims, and cannot mark anything as done.
func unmarked() alotwebhook.Deduper {
	return &faultyDeduper{Deduper: dedupe.NewMemory(nil), complete: errDisk}
}

// passedOn are errors that speak of something other than the handler's own work, which is not done.
func passedOn(t *testing.T) map[string]func(ctx context.Context) error {
	t.Helper()
	another := func(cfg alotwebhook.ReceiverConfig) *alotwebhook.Receiver {
		r, _ := loggingReceiver(t, cfg)
		alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, json.RawMessage) error { return nil })
		return r
	}
	e, err := alotwebhook.ParseEvent([]byte(payload))
	require.NoError(t, err)
	busy := dedupe.NewMemory(nil)
	_, err = busy.Claim(t.Context(), "mail/"+eventID, time.Hour)
	require.NoError(t, err)
	header := http.Header{alotwebhook.SignatureHeader: {alotwebhook.Sign([]byte(payload), receiverSecret)}}
	return map[string]func(ctx context.Context) error{
		"a mark of Once": func(ctx context.Context) error {
			return alotwebhook.Once(ctx, unmarked(), "mail/"+eventID, 0, nothing)
		},
		"a mark of Once, wrapped": func(ctx context.Context) error {
			return explainTwice(alotwebhook.Once(ctx, unmarked(), "mail/"+eventID, 0, nothing))
		},
		"a mark of Handle": func(ctx context.Context) error {
			return another(alotwebhook.ReceiverConfig{Deduper: unmarked()}).Handle(ctx, e)
		},
		"a mark of Receive": func(ctx context.Context) error {
			return another(alotwebhook.ReceiverConfig{Deduper: unmarked()}).Receive(ctx, []byte(payload), header)
		},
		"a claim of another": func(ctx context.Context) error {
			return alotwebhook.Once(ctx, busy, "mail/"+eventID, 0, nothing)
		},
		"a Deduper that fails": func(ctx context.Context) error {
			return alotwebhook.Once(ctx, brokenDeduper{}, "mail/"+eventID, 0, nothing)
		},
		"an organization": func(ctx context.Context) error {
			return another(alotwebhook.ReceiverConfig{OrganizationID: "org_9"}).Receive(ctx, []byte(payload), header)
		},
		"a receiver without a secret": func(ctx context.Context) error {
			return alotwebhook.NewReceiver(nil, &alotwebhook.ReceiverConfig{Logger: slog.New(slog.DiscardHandler)}).Receive(ctx, []byte(payload), header)
		},
		"the error of a signature": func(context.Context) error { return fmt.Errorf("partner: %w", alotwebhook.ErrSignatureMismatch) },
		"the error of a mark":      func(context.Context) error { return fmt.Errorf("partner: %w", alotwebhook.ErrNotMarked) },
		"the error of an event":    func(context.Context) error { _, err := alotwebhook.ParseEvent(nil); return err },
	}
}

// An event whose handler returned such an error comes again, and is handled then: its work is not done.
func TestAnErrorThatIsPassedOnLosesNoEvent(t *testing.T) {
	t.Parallel()
	for name, fail := range passedOn(t) {
		for with, deduper := range map[string]alotwebhook.Deduper{"with a Deduper": dedupe.NewMemory(nil), "without": nil} {
			t.Run(name+" "+with, func(t *testing.T) {
				t.Parallel()
				failing := true
				d := newDesk(t, alotwebhook.ReceiverConfig{Deduper: deduper})
				alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, func(ctx context.Context, e alotwebhook.Event, data json.RawMessage) error {
					if failing {
						return fail(ctx)
					}
					return d.keep(ctx, e, data)
				})
				require.Equal(t, 500, statusOf(d, payload))
				require.Equal(t, 500, d.failures[0].status)
				require.Contains(t, d.log.String(), `"msg":"alotwebhook: event not handled"`)
				require.Contains(t, d.log.String(), `"cause":"handler_failed"`)
				e, err := alotwebhook.ParseEvent([]byte(payload))
				require.NoError(t, err)
				require.Equal(t, 500, alotwebhook.StatusCode(d.Handle(t.Context(), e)))
				failing = false
				require.Equal(t, 200, statusOf(d, payload))
				require.Len(t, d.handled, 1)
			})
		}
	}
}

// Code of one's own gets the status that a Receiver has for the same handler.
func TestStatusCodeOfOnceIsThatOfAReceiver(t *testing.T) {
	t.Parallel()
	handlers := passedOn(t)
	handlers["an error"] = func(context.Context) error { return errDisk }
	handlers["a permanent one"] = func(context.Context) error { return explainTwice(alotwebhook.Permanent(errDisk)) }
	handlers["one for later"] = func(context.Context) error { return alotwebhook.RetryAfter(errDisk, time.Minute) }
	handlers["none"] = nothing
	for name, handle := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := statusOf(deskWith(t, alotwebhook.ReceiverConfig{}, handle), payload)
			for _, d := range []alotwebhook.Deduper{nil, dedupe.NewMemory(nil)} {
				err := alotwebhook.Once(t.Context(), d, eventID, 0, handle)
				require.Equal(t, want, alotwebhook.StatusCode(err), "%v", err)
				if own := handle(t.Context()); own != nil {
					require.EqualError(t, err, own.Error())
				}
			}
		})
	}
	require.Same(t, errDisk, alotwebhook.Once(t.Context(), nil, "", 0, handlers["an error"]), "any other error is fn's own")
}

// What a Deduper's error carries has no part in the answer to the handler's own.
func TestTheHandlersErrorDecidesAlsoIfItsClaimIsNotReleased(t *testing.T) {
	t.Parallel()
	for _, release := range []error{alotwebhook.Permanent(errDisk), alotwebhook.ErrNotMarked} {
		deduper := &faultyDeduper{Deduper: dedupe.NewMemory(nil), release: release}
		err := alotwebhook.Once(t.Context(), deduper, eventID, 0, func(context.Context) error { return errors.New("not done") })
		require.Equal(t, 500, alotwebhook.StatusCode(err))
		require.ErrorIs(t, err, release)
	}
}

// A panic is no answer, whatever its value: the event is handled when it comes again.
func TestAPanicWithAPermanentErrorLosesNoEvent(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]error{
		"permanent":          alotwebhook.Permanent(errDisk),
		"permanent, wrapped": explainTwice(alotwebhook.Permanent(errDisk)),
		"not marked":         alotwebhook.Once(t.Context(), unmarked(), eventID, 0, nothing),
		"a listed error":     alotwebhook.ErrNotMarked,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			panicking := true
			d := deskWith(t, alotwebhook.ReceiverConfig{}, func(context.Context) error {
				if panicking {
					panic(value)
				}
				return nil
			})
			require.Equal(t, 500, statusOf(d, payload))
			require.Contains(t, d.log.String(), `"cause":"handler_panicked"`)
			panicking = false
			require.Equal(t, 200, statusOf(d, payload))
			require.Len(t, d.handled, 1)
		})
	}
}
