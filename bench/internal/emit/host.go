package emit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/alot/alotwebhook"
)

// payloadSize is the length of every payload, in bytes.
const payloadSize = 300

// host is a program with a database that emits.
type host struct {
	dispatcher    *alotwebhook.Dispatcher
	organizations int
	next          int // the next event's organization
	opened        []func() error
}

// opens has closeAll call f.
func (h *host) opens(f func() error) { h.opened = append(h.opened, f) }

// closeAll closes in the opposite order of opening.
func (h *host) closeAll() (err error) {
	for i := len(h.opened) - 1; i >= 0; i-- {
		err = errors.Join(err, h.opened[i]())
	}
	return err
}

// dispatch makes the dispatcher, with an endpoint for each organization.
func (h *host) dispatch(ctx context.Context, store alotwebhook.Store) (err error) {
	h.dispatcher, err = alotwebhook.NewDispatcher(store, &alotwebhook.Config{Logger: slog.New(slog.DiscardHandler)})
	for i := 0; i < h.organizations && err == nil; i++ {
		_, err = h.dispatcher.CreateEndpoint(ctx, alotwebhook.Endpoint{
			OrganizationID: organization(i),
			URL:            fmt.Sprintf("https://customer-%d.example.com/hook", i),
			EventTypes:     []string{alotwebhook.EventCandidateCompleted},
		})
	}
	return err
}

func organization(i int) string { return fmt.Sprintf("org_%d", i) }

// transaction begins a transaction of the host's, inserts a business row, calls fn and commits.
type transaction func(ctx context.Context, fn func(hostTx) error) error

// hostTx is a transaction of the host's.
type hostTx struct {
	enqueuer alotwebhook.Enqueuer
	river    func(alotwebhook.Event) error // inserts one job
}

// oneEvent returns the group of contenders that emit one event beside a row. connect returns
// transactions on a connection of their own, so that no contender finds another's plans.
func (h *host) oneEvent(title string, connect func() (transaction, error)) (group, error) {
	g := group{title: title + ", one event", size: 1, base: true}
	for _, c := range []struct {
		name string
		fn   func(context.Context, hostTx, []alotwebhook.Event) error
	}{
		{"the row alone", func(context.Context, hostTx, []alotwebhook.Event) error { return nil }},
		{"EmitTo", h.emitTo},
		{river + " InsertTx", func(_ context.Context, tx hostTx, events []alotwebhook.Event) error { return tx.river(events[0]) }},
	} {
		tx, err := connect()
		if err != nil {
			return g, err
		}
		g.contenders = append(g.contenders, contender{c.name, func(ctx context.Context, events []alotwebhook.Event) error {
			return tx(ctx, func(tx hostTx) error { return c.fn(ctx, tx, events) })
		}})
	}
	return g, nil
}

func (h *host) emitTo(ctx context.Context, tx hostTx, events []alotwebhook.Event) error {
	return h.dispatcher.EmitTo(ctx, tx.enqueuer, events...)
}

// many returns the group of contenders that emit n events at once.
func (h *host) many(title string, n int, connect func() (transaction, error), riverMany emitter) (group, error) {
	tx, err := connect()
	return group{title: fmt.Sprintf("%s, %d events", title, n), size: n, contenders: []contender{
		{"Emit", func(ctx context.Context, events []alotwebhook.Event) error { return h.dispatcher.Emit(ctx, events...) }},
		{"EmitTo, beside a row", func(ctx context.Context, events []alotwebhook.Event) error {
			return tx(ctx, func(tx hostTx) error { return h.emitTo(ctx, tx, events) })
		}},
		{river + " InsertManyFast", riverMany},
	}}, err
}

// events returns n new events, of one organization after the other.
func (h *host) events(n int) ([]alotwebhook.Event, error) {
	events := make([]alotwebhook.Event, n)
	for i := range events {
		e, err := newEvent(organization(h.next % h.organizations))
		if err != nil {
			return nil, err
		}
		h.next++
		events[i] = e
	}
	return events, nil
}

// newEvent returns an event whose payload has payloadSize bytes.
func newEvent(organizationID string) (alotwebhook.Event, error) {
	e, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, organizationID, struct{}{})
	if err != nil {
		return e, err
	}
	const frame = `{"sessionId":""}`
	missing := payloadSize - len(e.Payload()) + len(`{}`) - len(frame)
	e.Data = fmt.Appendf(nil, `{"sessionId":%q}`, bytes.Repeat([]byte{'x'}, missing))
	return e, nil
}
