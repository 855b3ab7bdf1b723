package webhookclient_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhookclient"
)

func ExampleClient_Events() {
	client, err := webhookclient.New("https://app.example.com", &webhookclient.Options{Token: os.Getenv("ALOT_WEBHOOK_API_TOKEN")})
	if err != nil {
		log.Fatal(err)
	}
	yesterday := time.Now().AddDate(0, 0, -1)
	for event, err := range client.Events(context.Background(), webhookclient.EventsOptions{Since: yesterday}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.ID, event.Type, len(event.Body))
	}
}

// Once an hour, or when somebody has found that events are missing.
func ExampleClient_Reconcile() {
	var client *webhookclient.Client   // of webhookclient.New
	var receiver *alotwebhook.Receiver // the one that receives the webhooks, with its Deduper
	var cursor string                  // where the last time has ended

	reconcile := func(ctx context.Context) error {
		done, err := client.Reconcile(ctx, webhookclient.Reconciliation{Cursor: cursor, Handle: receiver.Handle})
		cursor = done.Cursor // also after an error: what is before it is handled
		if errors.Is(err, webhookclient.ErrCursorExpired) {
			cursor = "" // the next time begins with the oldest event; what was handled is not handled again
		}
		return err
	}
	_ = reconcile
}
