package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// Shortened, so that nobody has to wait for ten minutes.
var (
	retries = []time.Duration{300 * time.Millisecond, 900 * time.Millisecond}
	timeout = time.Second
)

// deliver does what a host does: open a store, make a dispatcher, register
// endpoints, emit, run.
func deliver(ctx context.Context, path string, out *output) error {
	store, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	defer store.Close()
	rx, err := startReceivers(out)
	if err != nil {
		return err
	}
	defer rx.close()

	var left atomic.Int64
	idle := make(chan struct{}, 1)
	d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
		Retry:     alotwebhook.Schedule(retries...),
		Timeout:   timeout,
		AllowHTTP: true,
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Logger:    slog.New(slog.DiscardHandler), // the output here says it all
		OnAttempt: func(a alotwebhook.AttemptInfo) {
			if a.State != alotwebhook.StatePending && left.Add(-1) == 0 {
				idle <- struct{}{}
			}
		},
	})
	if err != nil {
		return err
	}
	endpoints, err := register(ctx, d, rx.url, out)
	if err != nil {
		return err
	}
	if err := emit(ctx, d, out); err != nil {
		return err
	}
	stats, err := d.Stats(ctx)
	if err != nil {
		return err
	}
	left.Store(stats.Pending)

	out.printf("\nWhat the receivers see (nothing is acted upon before it is verified)\n\n")
	if status, err := rx.forge(ctx); err == nil {
		out.event("%-9s  %-22s  signed with a guessed secret: %s", "ats", alotwebhook.EventCandidateCompleted, status)
	}
	interrupted, err := runUntil(ctx, d, idle)
	if err != nil {
		return err
	}
	rx.close()
	// What was interrupted is still worth a look.
	return report(context.WithoutCancel(ctx), d, endpoints, interrupted, out)
}

// runUntil runs the dispatcher until all is done, ctx ends or time is up. In
// every case what is under way is finished or released, and recorded.
func runUntil(ctx context.Context, d *alotwebhook.Dispatcher, idle <-chan struct{}) (interrupted bool, err error) {
	runCtx, stop := context.WithTimeout(ctx, longest)
	defer stop()
	go func() {
		select {
		case <-idle:
			stop()
		case <-runCtx.Done():
		}
	}()
	err = d.Run(runCtx)
	return ctx.Err() != nil, err
}

// register creates the endpoints, or finds them in the file of an earlier run
// and moves them to where the receivers listen now.
func register(ctx context.Context, d *alotwebhook.Dispatcher, url string, out *output) (names map[string]string, err error) {
	existing := map[string]alotwebhook.Endpoint{}
	for e, err := range d.Endpoints(ctx, alotwebhook.EndpointFilter{}) {
		if err != nil {
			return nil, err
		}
		existing[e.Description] = e
	}
	out.printf("\nEndpoints (kept: registered by an earlier run)\n\n")
	names = map[string]string{}
	for _, c := range customers() {
		e, found := existing[c.name]
		e.URL = url + "/" + c.name
		if found {
			e, err = d.UpdateEndpoint(ctx, e)
		} else {
			e, err = d.CreateEndpoint(ctx, alotwebhook.Endpoint{
				OrganizationID: c.organization, URL: e.URL, Description: c.name,
				EventTypes: c.eventTypes, Secret: c.secret(),
			})
		}
		if err != nil {
			return nil, err
		}
		names[e.ID] = c.name
		out.printf("  %-4s  %-9s  %-10s  %-32s  %s\n", age(found), c.name, c.organization, e.URL, c.behaves)
	}
	return names, nil
}

func age(found bool) string {
	if found {
		return "kept"
	}
	return "new"
}

// newEvent makes an event of a type with the example data of the catalogue.
func newEvent(eventType, organization string) (alotwebhook.Event, error) {
	for _, t := range alotwebhook.DefaultEventTypes() {
		if t.Name == eventType {
			return alotwebhook.NewEvent(eventType, organization, t.Example)
		}
	}
	return alotwebhook.Event{}, fmt.Errorf("no event type %q in the catalogue", eventType)
}

// emit stores one event of each type for one organization, and one for the other.
func emit(ctx context.Context, d *alotwebhook.Dispatcher, out *output) error {
	var events []alotwebhook.Event
	out.printf("\nEvents emitted: stored with their deliveries, and due\n\n")
	for _, e := range []struct{ eventType, organization string }{
		{alotwebhook.EventCandidateInvited, "org_acme"},
		{alotwebhook.EventCandidateCompleted, "org_acme"},
		{alotwebhook.EventCandidateDisqualified, "org_acme"},
		{alotwebhook.EventAssessmentPublished, "org_acme"},
		{alotwebhook.EventCandidateCompleted, "org_globex"},
	} {
		event, err := newEvent(e.eventType, e.organization)
		if err != nil {
			return err
		}
		events = append(events, event)
		out.printf("  %s  %-22s  %s\n", event.ID, event.Type, event.OrganizationID)
	}
	return d.Emit(ctx, events...)
}
