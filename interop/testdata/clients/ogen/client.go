package main

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"client/generated"
)

// ogen is the client that ogen generates.
type ogen struct{ c *generated.Client }

// bearer gives each request the token.
type bearer string

func (b bearer) Bearer(context.Context, generated.OperationName) (generated.Bearer, error) {
	return generated.Bearer{Token: string(b)}, nil
}

func newAPI(base, token string) (api, error) {
	c, err := generated.NewClient(base, bearer(token))
	return ogen{c}, err
}

// as returns the response if it is the expected one.
func as[T any](response any, err error) (T, error) {
	expected, ok := response.(T)
	if err == nil && !ok {
		err = unexpected("response", response)
	}
	return expected, err
}

// given returns nothing for an empty text.
func given(v string) generated.OptString { return generated.OptString{Value: v, Set: v != ""} }

func namesOf(h generated.HeaderNames) (names []string) {
	for _, header := range h {
		names = append(names, header.Name)
	}
	return names
}

func (o ogen) eventTypes(ctx context.Context) (names []string, err error) {
	r, err := as[*generated.EventTypeList](o.c.ListEventTypes(ctx))
	if err != nil {
		return nil, err
	}
	for _, t := range r.EventTypes {
		names = append(names, string(t.Name))
	}
	return names, nil
}

func (o ogen) create(ctx context.Context, at, key string) (endpoint, error) {
	to, err := url.Parse(at)
	if err != nil {
		return endpoint{}, err
	}
	r, err := as[*generated.NewEndpointHeaders](o.c.CreateEndpoint(ctx, &generated.EndpointRequest{
		URL: generated.URL(*to), Events: generated.EventTypeNames{"candidate.completed"}, Rate: generated.NewOptRate(82.55),
		Headers: generated.OwnHeaders{
			{Name: generated.NewOptString("X-Tenant"), Value: generated.NewOptString("42")}, {Bearer: generated.NewOptString("t0ken")},
		},
	}, generated.CreateEndpointParams{IdempotencyKey: generated.NewOptString(key)}))
	if err != nil {
		return endpoint{}, err
	}
	e := r.Response
	return endpoint{id: string(e.ID), secret: string(e.Secret.Value), rate: float64(e.Rate.Value), headers: namesOf(e.Headers)}, nil
}

func (o ogen) list(ctx context.Context, limit int, cursor string) (p page, err error) {
	r, err := as[*generated.EndpointPage](o.c.ListEndpoints(ctx, generated.ListEndpointsParams{Limit: generated.NewOptInt(limit), Cursor: given(cursor)}))
	if err != nil {
		return p, err
	}
	for _, e := range r.Endpoints {
		p.ids = append(p.ids, string(e.ID))
	}
	p.next = r.NextCursor.Value
	return p, nil
}

func (o ogen) read(ctx context.Context, id string) (endpoint, error) {
	r, err := as[*generated.EndpointHeaders](o.c.ReadEndpoint(ctx, generated.ReadEndpointParams{ID: generated.EndpointId(id)}))
	if err != nil {
		return endpoint{}, err
	}
	return endpoint{id: string(r.Response.ID), etag: r.ETag}, nil
}

func (o ogen) update(ctx context.Context, id, etag string, patch generated.UpdateEndpointApplicationJSON) (endpoint, int, error) {
	response, err := o.c.UpdateEndpoint(ctx, &patch, generated.UpdateEndpointParams{ID: generated.EndpointId(id), IfMatch: generated.NewOptString(etag)})
	if _, stale := response.(*generated.UpdateEndpointPreconditionFailed); stale {
		return endpoint{}, http.StatusPreconditionFailed, nil
	}
	r, err := as[*generated.EndpointHeaders](response, err)
	if err != nil {
		return endpoint{}, 0, err
	}
	e := r.Response
	return endpoint{id: string(e.ID), description: string(e.Description.Value), headers: namesOf(e.Headers), etag: r.ETag}, http.StatusOK, nil
}

func (o ogen) describe(ctx context.Context, id, etag, text string) (endpoint, int, error) {
	return o.update(ctx, id, etag, generated.UpdateEndpointApplicationJSON{Description: generated.NewOptNilString(text)})
}

func (o ogen) clear(ctx context.Context, id, etag string) (endpoint, error) {
	patch := generated.UpdateEndpointApplicationJSON{
		Headers: generated.NewOptNilOwnHeaders(generated.OwnHeaders{{Name: generated.NewOptString("X-Tenant")}}),
	}
	patch.Description.SetToNull()
	e, status, err := o.update(ctx, id, etag, patch)
	if err == nil && status != http.StatusOK {
		err = unexpected("clear", status)
	}
	return e, err
}

func (o ogen) rotate(ctx context.Context, id string, signsFrom time.Time) (endpoint, error) {
	r, err := as[*generated.RotateSecretOKHeaders](o.c.RotateSecret(ctx,
		generated.NewOptRotation(generated.Rotation{SignsFrom: generated.NewOptDateTime(signsFrom)}), generated.RotateSecretParams{ID: generated.EndpointId(id)}))
	if err != nil {
		return endpoint{}, err
	}
	return endpoint{secret: string(r.Response.Secret.Value), next: time.Time(r.Response.NextSecretFrom.Value)}, nil
}

func (o ogen) test(ctx context.Context, id, eventType string) (string, error) {
	request := generated.TestRequest{Type: generated.NewOptEventTypeName(generated.EventTypeName(eventType))}
	r, err := as[*generated.TestHeaders](o.c.SendTest(ctx, generated.NewOptTestRequest(request), generated.SendTestParams{ID: generated.EndpointId(id)}))
	if err != nil {
		return "", err
	}
	return string(r.Response.DeliveryId), nil
}

func (o ogen) delivery(ctx context.Context, id string) (d delivery, err error) {
	r, err := as[*generated.DeliveryWithAttempts](o.c.ReadDelivery(ctx, generated.ReadDeliveryParams{ID: generated.DeliveryId(id)}))
	if err != nil {
		return d, err
	}
	d.status, d.payload = string(r.Status), r.Payload.Value
	for _, a := range r.Attempts {
		d.duration, d.header = a.DurationMs, a.RequestHeaders.Value["X-Alot-Event"]
	}
	return d, nil
}

func (o ogen) deliveries(ctx context.Context, id string, limit int, cursor string) (p page, err error) {
	r, err := as[*generated.DeliveryPage](o.c.ListDeliveries(ctx, generated.ListDeliveriesParams{
		ID: generated.EndpointId(id), Limit: generated.NewOptInt(limit), Cursor: given(cursor),
	}))
	if err != nil {
		return p, err
	}
	for _, d := range r.Deliveries {
		p.ids = append(p.ids, string(d.ID))
	}
	p.next = r.NextCursor.Value
	return p, nil
}

func (o ogen) redeliver(ctx context.Context, id string) (string, error) {
	r, err := as[*generated.DeliveryWithAttemptsHeaders](o.c.Redeliver(ctx, nil, generated.RedeliverParams{ID: generated.DeliveryId(id)}))
	if err != nil {
		return "", err
	}
	return string(r.Response.ID), nil
}

func (o ogen) recover(ctx context.Context, id string, since time.Time) error {
	request := generated.NewOptRecoveryRequest(generated.RecoveryRequest{Since: generated.NewOptDateTime(since)})
	_, err := as[*generated.RecoveryHeaders](o.c.BeginRecovery(ctx, request, generated.BeginRecoveryParams{ID: generated.EndpointId(id)}))
	return err
}

func (o ogen) recovery(ctx context.Context, id string) (string, float64, error) {
	r, err := as[*generated.Recovery](o.c.ReadRecovery(ctx, generated.ReadRecoveryParams{ID: generated.EndpointId(id)}))
	if err != nil {
		return "", 0, err
	}
	return string(r.Status), r.Progress, nil
}

func (o ogen) events(ctx context.Context, limit int, cursor string) (p page, err error) {
	r, err := as[*generated.EventPage](o.c.ListEvents(ctx, generated.ListEventsParams{Limit: generated.NewOptInt(limit), Cursor: given(cursor)}))
	if err != nil {
		return p, err
	}
	for _, e := range r.Events {
		p.ids, p.payload = append(p.ids, string(e.ID)), e.Payload.Value
	}
	p.next = r.NextCursor
	return p, nil
}

func (o ogen) paths(ctx context.Context) (int, error) {
	r, err := as[*generated.ReadOpenAPIOK](o.c.ReadOpenAPI(ctx))
	if err != nil {
		return 0, err
	}
	return len(r.Paths), nil
}

func (o ogen) remove(ctx context.Context, id string) (int, error) {
	_, err := as[*generated.DeleteEndpointNoContent](o.c.DeleteEndpoint(ctx, generated.DeleteEndpointParams{ID: generated.EndpointId(id)}))
	return http.StatusNoContent, err
}
