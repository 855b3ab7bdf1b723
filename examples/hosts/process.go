package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"

	"github.com/google/uuid"

	"github.com/alot/alotwebhook"
)

const organization = "org_123"

// development lets endpoints be on loopback, where a demonstration has them.
func development() *alotwebhook.Config {
	return &alotwebhook.Config{AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
}

// work registers the endpoint, if there is one, completes the candidates, and
// prints which events were committed.
func work(ctx context.Context, h host, d *alotwebhook.Dispatcher, o options, out io.Writer) error {
	if o.endpoint != "" {
		_, err := d.CreateEndpoint(ctx, alotwebhook.Endpoint{
			OrganizationID: organization, URL: o.endpoint, EventTypes: []string{alotwebhook.EventCandidateCompleted},
		})
		if err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "ready")
	for score := range o.candidates {
		id, err := complete(ctx, h, d, score)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "committed", id)
	}
	id, err := complete(ctx, h, d, -1)
	fmt.Fprintf(out, "rolled back %s: %v\n", id, err)
	return nil
}

// complete returns the id of the event that tells of the candidate.
func complete(ctx context.Context, h host, d *alotwebhook.Dispatcher, score int) (eventID string, err error) {
	c := candidate{SessionID: "sess_" + uuid.NewString(), Score: score}
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, organization, map[string]any{"sessionId": c.SessionID, "score": c.Score})
	if err != nil {
		return "", err
	}
	return event.ID, h.complete(ctx, d, c, event)
}
