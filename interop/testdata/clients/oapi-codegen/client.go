package main

import (
	"context"
	"net/http"
	"time"

	"github.com/oapi-codegen/nullable"

	"client/generated"
)

// oapi is the client that oapi-codegen generates.
type oapi struct {
	c *generated.ClientWithResponses
}

func newAPI(base, token string) (api, error) {
	c, err := generated.NewClientWithResponses(base, generated.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}))
	return oapi{c}, err
}

func pointer[T any](v T) *T { return &v }

func orZero[T any](v *T) (zero T) {
	if v == nil {
		return zero
	}
	return *v
}

// given returns nil for an empty text.
func given(v string) *string {
	if v == "" {
		return nil
	}
	return &v
}

func namesOf(h *generated.HeaderNames) (names []string) {
	for _, header := range orZero(h) {
		names = append(names, header.Name)
	}
	return names
}

func (o oapi) eventTypes(ctx context.Context) (names []string, err error) {
	r, err := o.c.ListEventTypesWithResponse(ctx)
	if err != nil || r.JSON200 == nil {
		return nil, failure(err, r)
	}
	for _, t := range r.JSON200.EventTypes {
		names = append(names, t.Name)
	}
	return names, nil
}

// failure is the error of a call that has not brought what was expected.
func failure[R interface{ Status() string }](err error, r R) error {
	if err != nil {
		return err
	}
	return unexpected(r.Status(), r)
}

func (o oapi) create(ctx context.Context, url, key string) (endpoint, error) {
	r, err := o.c.CreateEndpointWithResponse(ctx, &generated.CreateEndpointParams{IdempotencyKey: &key}, generated.EndpointRequest{
		Url: url, Events: generated.EventTypeNames{"candidate.completed"}, Rate: pointer(82.55),
		Headers: &generated.OwnHeaders{{Name: pointer("X-Tenant"), Value: pointer("42")}, {Bearer: pointer("t0ken")}},
	})
	if err != nil || r.JSON201 == nil {
		return endpoint{}, failure(err, r)
	}
	e := r.JSON201
	return endpoint{id: e.Id, secret: orZero(e.Secret), rate: orZero(e.Rate), headers: namesOf(e.Headers)}, nil
}

func (o oapi) list(ctx context.Context, limit int, cursor string) (p page, err error) {
	r, err := o.c.ListEndpointsWithResponse(ctx, &generated.ListEndpointsParams{Limit: &limit, Cursor: given(cursor)})
	if err != nil || r.JSON200 == nil {
		return p, failure(err, r)
	}
	for _, e := range r.JSON200.Endpoints {
		p.ids = append(p.ids, e.Id)
	}
	p.next = orZero(r.JSON200.NextCursor)
	return p, nil
}

func (o oapi) read(ctx context.Context, id string) (endpoint, error) {
	r, err := o.c.ReadEndpointWithResponse(ctx, id)
	if err != nil || r.JSON200 == nil {
		return endpoint{}, failure(err, r)
	}
	return endpoint{id: r.JSON200.Id, etag: r.HTTPResponse.Header.Get("ETag")}, nil
}

func (o oapi) update(ctx context.Context, id, etag string, patch generated.EndpointPatch) (endpoint, int, error) {
	r, err := o.c.UpdateEndpointWithResponse(ctx, id, &generated.UpdateEndpointParams{IfMatch: &etag}, patch)
	if err != nil {
		return endpoint{}, 0, err
	}
	if r.JSON200 == nil {
		return endpoint{}, r.StatusCode(), nil
	}
	e := r.JSON200
	return endpoint{id: e.Id, description: orZero(e.Description), headers: namesOf(e.Headers), etag: r.HTTPResponse.Header.Get("ETag")}, r.StatusCode(), nil
}

func (o oapi) describe(ctx context.Context, id, etag, text string) (endpoint, int, error) {
	return o.update(ctx, id, etag, generated.EndpointPatch{Description: nullable.NewNullableWithValue(text)})
}

func (o oapi) clear(ctx context.Context, id, etag string) (endpoint, error) {
	e, status, err := o.update(ctx, id, etag, generated.EndpointPatch{
		Description: nullable.NewNullNullable[string](),
		Headers:     nullable.NewNullableWithValue(generated.OwnHeaders{{Name: pointer("X-Tenant")}}),
	})
	if err == nil && status != http.StatusOK {
		err = unexpected("clear", status)
	}
	return e, err
}

func (o oapi) rotate(ctx context.Context, id string, signsFrom time.Time) (endpoint, error) {
	r, err := o.c.RotateSecretWithResponse(ctx, id, nil, generated.Rotation{SignsFrom: &signsFrom})
	if err != nil || r.JSON200 == nil {
		return endpoint{}, failure(err, r)
	}
	return endpoint{secret: orZero(r.JSON200.Secret), next: orZero(r.JSON200.NextSecretFrom)}, nil
}

func (o oapi) test(ctx context.Context, id, eventType string) (string, error) {
	r, err := o.c.SendTestWithResponse(ctx, id, nil, generated.TestRequest{Type: &eventType})
	if err != nil || r.JSON202 == nil {
		return "", failure(err, r)
	}
	return r.JSON202.DeliveryId, nil
}

func (o oapi) delivery(ctx context.Context, id string) (d delivery, err error) {
	r, err := o.c.ReadDeliveryWithResponse(ctx, id)
	if err != nil || r.JSON200 == nil {
		return d, failure(err, r)
	}
	d.status, d.payload = string(r.JSON200.Status), orZero(r.JSON200.Payload)
	for _, a := range r.JSON200.Attempts {
		d.duration, d.header = a.DurationMs, orZero(a.RequestHeaders)["X-Alot-Event"]
	}
	return d, nil
}

func (o oapi) deliveries(ctx context.Context, id string, limit int, cursor string) (p page, err error) {
	r, err := o.c.ListDeliveriesWithResponse(ctx, id, &generated.ListDeliveriesParams{Limit: &limit, Cursor: given(cursor)})
	if err != nil || r.JSON200 == nil {
		return p, failure(err, r)
	}
	for _, d := range r.JSON200.Deliveries {
		p.ids = append(p.ids, d.Id)
	}
	p.next = orZero(r.JSON200.NextCursor)
	return p, nil
}

func (o oapi) redeliver(ctx context.Context, id string) (string, error) {
	r, err := o.c.RedeliverWithResponse(ctx, id, nil, generated.Empty{})
	if err != nil || r.JSON202 == nil {
		return "", failure(err, r)
	}
	return r.JSON202.Id, nil
}

func (o oapi) recover(ctx context.Context, id string, since time.Time) error {
	r, err := o.c.BeginRecoveryWithResponse(ctx, id, nil, generated.RecoveryRequest{Since: &since})
	if err != nil || r.JSON202 == nil {
		return failure(err, r)
	}
	return nil
}

func (o oapi) recovery(ctx context.Context, id string) (string, float64, error) {
	r, err := o.c.ReadRecoveryWithResponse(ctx, id)
	if err != nil || r.JSON200 == nil {
		return "", 0, failure(err, r)
	}
	return string(r.JSON200.Status), r.JSON200.Progress, nil
}

func (o oapi) events(ctx context.Context, limit int, cursor string) (p page, err error) {
	r, err := o.c.ListEventsWithResponse(ctx, &generated.ListEventsParams{Limit: &limit, Cursor: given(cursor)})
	if err != nil || r.JSON200 == nil {
		return p, failure(err, r)
	}
	for _, e := range r.JSON200.Events {
		p.ids, p.payload = append(p.ids, e.Id), orZero(e.Payload)
	}
	p.next = r.JSON200.NextCursor
	return p, nil
}

func (o oapi) paths(ctx context.Context) (int, error) {
	r, err := o.c.ReadOpenAPIWithResponse(ctx)
	if err != nil || r.JSON200 == nil {
		return 0, failure(err, r)
	}
	return len(r.JSON200.Paths), nil
}

func (o oapi) remove(ctx context.Context, id string) (int, error) {
	r, err := o.c.DeleteEndpointWithResponse(ctx, id, nil)
	if err != nil {
		return 0, err
	}
	return r.StatusCode(), nil
}
