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

// The retries and the timeout are shorter than the defaults, so that nobody has to wait for
// ten minutes.
var (
	retries = []time.Duration{300 * time.Millisecond, 900 * time.Millisecond}
	timeout = time.Second
)

// deliver does what every host does: it opens a store, makes a dispatcher, registers
// endpoints, emits events and runs the dispatcher.
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
		Logger:    slog.New(slog.DiscardHandler), // the program prints the same itself
		Observer: &alotwebhook.Observer{Finished: func(r alotwebhook.FinishReport) {
			for _, a := range r.Attempts {
				if a.State != alotwebhook.StatePending && left.Add(-1) == 0 {
					idle <- struct{}{}
				}
			}
		}},
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

	out.printf("\nWhat the receivers see (no event is handled before it is verified)\n\n")
	if status, err := rx.forge(ctx); err == nil {
		out.event("%-9s  %-22s  signed with a guess: rejected with %s", "ats", alotwebhook.EventCandidateCompleted, status)
	}
	interrupted, err := runUntil(ctx, d, idle)
	if err != nil {
		return err
	}
	rx.close()
	// The history is printed even after an interruption.
	return report(context.WithoutCancel(ctx), d, endpoints, interrupted, out)
}

// runUntil runs the dispatcher until all deliveries are finished, ctx is done, or longest
// has passed. Run returns once the attempts under way are finished or released, and stored.
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

// register creates the endpoints. If they are in the file from an earlier run, it updates
// their URLs: the receivers listen on another port now. It returns their names by id.
func register(ctx context.Context, d *alotwebhook.Dispatcher, url string, out *output) (names map[string]string, err error) {
	existing := map[string]alotwebhook.Endpoint{}
	for e, err := range d.Endpoints(ctx, alotwebhook.EndpointFilter{}) {
		if err != nil {
			return nil, err
		}
		existing[e.Description] = e
	}
	out.printf("\nEndpoints%s\n\n", legend(existing))
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

// legend explains the word kept, if it appears in the list.
func legend(existing map[string]alotwebhook.Endpoint) string {
	if len(existing) == 0 {
		return ""
	}
	return " (those marked kept were registered by an earlier run)"
}

func age(found bool) string {
	if found {
		return "kept"
	}
	return "new"
}

// newEvent returns an event with the example data of the catalogue.
func newEvent(eventType, organization string) (alotwebhook.Event, error) {
	for _, t := range alotwebhook.DefaultEventTypes() {
		if t.Name == eventType {
			return alotwebhook.NewEvent(eventType, organization, t.Example)
		}
	}
	return alotwebhook.Event{}, fmt.Errorf("no event type %q in the catalogue", eventType)
}

// emit emits one event of each type for one organization, and one event for the other.
func emit(ctx context.Context, d *alotwebhook.Dispatcher, out *output) error {
	var events []alotwebhook.Event
	out.printf("\nEvents emitted (each is stored with its deliveries, which are due at once)\n\n")
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
