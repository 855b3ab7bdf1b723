package emit

import (
	"context"
	"log/slog"

	riverqueue "github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/alot/alotwebhook"
)

// river is the name of the peer.
const river = "River"

// newRiver makes River's tables, unless they are there, and a client that only inserts.
func newRiver[TTx any](ctx context.Context, driver riverdriver.Driver[TTx], schema string) (*riverqueue.Client[TTx], error) {
	silent := slog.New(slog.DiscardHandler)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: schema, Logger: silent})
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	return riverqueue.NewClient(driver, &riverqueue.Config{Schema: schema, Logger: silent})
}

// postArgs are the arguments of a job that would post the payload.
type postArgs struct {
	Body string `json:"body"`
}

// Kind implements [riverqueue.JobArgs].
func (postArgs) Kind() string { return "post" }

// insertOne inserts an event's job in the host's transaction.
func insertOne[TTx any](ctx context.Context, client *riverqueue.Client[TTx], tx TTx, e alotwebhook.Event) error {
	_, err := client.InsertTx(ctx, tx, postArgs{string(e.Payload())}, nil)
	return err
}

// insertMany returns an emitter that inserts jobs in the way that is River's fastest.
func insertMany[TTx any](client *riverqueue.Client[TTx]) emitter {
	return func(ctx context.Context, events []alotwebhook.Event) error {
		params := make([]riverqueue.InsertManyParams, len(events))
		for i, e := range events {
			params[i].Args = postArgs{string(e.Payload())}
		}
		_, err := client.InsertManyFast(ctx, params)
		return err
	}
}
