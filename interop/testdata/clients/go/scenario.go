// Command client does with the API what a customer's program does, through whichever client was
// generated: a few lines make an api of each. What it got is printed as JSON, for the test to judge.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

// endpoint is what the scenario looks at of an endpoint.
type endpoint struct {
	id, secret, description, etag string
	headers                       []string
	rate                          float64
	next                          time.Time // when the new secret begins to sign
}

// delivery is what the scenario looks at of a delivery.
type delivery struct {
	status, payload, header string
	duration                float64
}

// page is a page of a list.
type page struct {
	ids     []string
	next    string
	payload string // of the first event
}

// api is a generated client. Its methods return an error for each response but the expected one.
type api interface {
	eventTypes(context.Context) ([]string, error)
	create(ctx context.Context, url, key string) (endpoint, error)
	list(ctx context.Context, limit int, cursor string) (page, error)
	read(ctx context.Context, id string) (endpoint, error)
	describe(ctx context.Context, id, etag, text string) (e endpoint, status int, err error)
	clear(ctx context.Context, id, etag string) (endpoint, error) // the description, and all headers but X-Tenant
	rotate(ctx context.Context, id string, signsFrom time.Time) (endpoint, error)
	test(ctx context.Context, id, eventType string) (delivery string, err error)
	delivery(ctx context.Context, id string) (delivery, error)
	deliveries(ctx context.Context, id string, limit int, cursor string) (page, error)
	redeliver(ctx context.Context, id string) (string, error)
	recover(ctx context.Context, id string, since time.Time) error
	recovery(ctx context.Context, id string) (status string, progress float64, err error)
	events(ctx context.Context, limit int, cursor string) (page, error)
	paths(context.Context) (int, error)
	remove(ctx context.Context, id string) (status int, err error)
}

// facts is what is printed.
type facts map[string]any

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	client, err := newAPI(os.Getenv("BASE"), os.Getenv("TOKEN"))
	must(err)
	f := facts{}
	f["types"] = got(client.eventTypes(ctx))
	id := f.endpoints(ctx, client)
	f.changes(ctx, client, id)
	f.sends(ctx, client, id)
	must(client.recover(ctx, id, time.Now().Add(-time.Hour)))
	f["recovery"], f["progress"], err = client.recovery(ctx, id)
	must(err)
	f.pulls(ctx, client)
	f["paths"] = got(client.paths(ctx))
	must(json.NewEncoder(os.Stdout).Encode(f))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func got[T any](value T, err error) T {
	must(err)
	return value
}

// unexpected is the error for a response that is not the expected one.
func unexpected(what string, response any) error {
	return fmt.Errorf("%s: %T %+v", what, response, response)
}

// all reads a list a page at a time.
func all(read func(cursor string) (page, error)) (ids []string) {
	for cursor := ""; ; {
		p := got(read(cursor))
		ids = append(ids, p.ids...)
		if cursor = p.next; cursor == "" {
			return ids
		}
	}
}

func (f facts) endpoints(ctx context.Context, client api) (id string) {
	receiver := os.Getenv("RECEIVER")
	made := got(client.create(ctx, receiver, "key-1"))
	again := got(client.create(ctx, receiver, "key-1"))
	other := got(client.create(ctx, receiver, "key-2"))
	f["id"], f["secret"], f["rate"], f["headers"] = made.id, made.secret, made.rate, made.headers
	f["replayed"], f["other"] = again.id, other.id
	f["listed"] = all(func(cursor string) (page, error) { return client.list(ctx, 1, cursor) })
	f["removed"] = got(client.remove(ctx, other.id))
	return made.id
}

func (f facts) changes(ctx context.Context, client api, id string) {
	etag := got(client.read(ctx, id)).etag
	described, status, err := client.describe(ctx, id, etag, "ATS")
	must(err)
	if status != http.StatusOK {
		panic(status)
	}
	_, stale, err := client.describe(ctx, id, etag, "lost")
	must(err)
	cleared := got(client.clear(ctx, id, described.etag))
	rotated := got(client.rotate(ctx, id, time.Now().Add(24*time.Hour)))
	f["description"], f["stale"], f["cleared"], f["kept"] = described.description, stale, cleared.description, cleared.headers
	f["rotated"], f["next"] = rotated.secret, rotated.next
}

func (f facts) sends(ctx context.Context, client api, id string) {
	one := got(client.test(ctx, id, "candidate.completed"))
	other := got(client.test(ctx, id, "candidate.invited"))
	d := delivered(ctx, client, one)
	delivered(ctx, client, other)
	f["tests"], f["payload"], f["duration"], f["header"] = []string{one, other}, d.payload, d.duration, d.header
	f["deliveries"] = all(func(cursor string) (page, error) { return client.deliveries(ctx, id, 1, cursor) })
	f["redelivered"] = got(client.redeliver(ctx, one))
}

// delivered waits until a delivery has succeeded.
func delivered(ctx context.Context, client api, id string) delivery {
	for {
		if d := got(client.delivery(ctx, id)); d.status == "delivered" {
			return d
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// pulls reads the events until it has three: an event may appear a little later than it is sent.
func (f facts) pulls(ctx context.Context, client api) {
	var ids []string
	for cursor := ""; len(ids) < 3; {
		p := got(client.events(ctx, 2, cursor))
		if cursor = p.next; len(ids) == 0 {
			f["pulled"] = p.payload
		}
		ids = append(ids, p.ids...)
	}
	f["events"] = ids
}
