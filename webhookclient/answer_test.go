package webhookclient_test

import (
	"context"
	"io"
	"iter"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhookclient"
)

// answered returns what a call has returned.
func answered[T any](got T, err error) (any, error) { return got, err }

// all returns the items of a list up to its first error, at most 1000.
func all[T any](list iter.Seq2[T, error]) (any, error) {
	var items []T
	for item, err := range list {
		if err != nil {
			return items, err
		}
		if items = append(items, item); len(items) == 1000 {
			break
		}
	}
	return items, nil
}

// lists are all calls for lists.
func lists(ctx context.Context, c *webhookclient.Client) map[string]func() (any, error) {
	return map[string]func() (any, error){
		"endpoints":  func() (any, error) { return all(c.Endpoints(ctx)) },
		"deliveries": func() (any, error) { return all(c.Deliveries(ctx, webhookclient.DeliveriesOptions{})) },
		"an endpoint's": func() (any, error) {
			return all(c.Deliveries(ctx, webhookclient.DeliveriesOptions{EndpointID: "wh_1"}))
		},
		"operations":     func() (any, error) { return all(c.Operations(ctx)) },
		"events":         func() (any, error) { return all(c.Events(ctx, webhookclient.EventsOptions{})) },
		"page of events": func() (any, error) { return answered(c.EventPage(ctx, webhookclient.EventsOptions{})) },
		"event types":    func() (any, error) { return answered(c.EventTypes(ctx)) },
		"reconciliation": func() (any, error) { return answered(c.Reconcile(ctx, webhookclient.Reconciliation{Handle: ignore})) },
	}
}

func ignore(context.Context, alotwebhook.Event) error { return nil }

// singles are all other calls, about things of an id.
func singles(ctx context.Context, c *webhookclient.Client, endpoint, delivery, event string) map[string]func() (any, error) {
	return map[string]func() (any, error){
		"endpoint":      func() (any, error) { return answered(c.Endpoint(ctx, endpoint)) },
		"update":        func() (any, error) { return answered(c.UpdateEndpoint(ctx, endpoint, webhookclient.EndpointChange{})) },
		"rotate":        func() (any, error) { return answered(c.RotateSecret(ctx, endpoint, "", time.Time{})) },
		"enable":        func() (any, error) { return answered(c.EnableEndpoint(ctx, endpoint, time.Time{})) },
		"prove":         func() (any, error) { return answered(c.ProveEndpoint(ctx, endpoint)) },
		"test":          func() (any, error) { return answered(c.SendTest(ctx, endpoint, "")) },
		"recover":       func() (any, error) { return answered(c.Recover(ctx, endpoint, time.Time{})) },
		"send missed":   func() (any, error) { return answered(c.SendMissed(ctx, endpoint, time.Time{})) },
		"recovery":      func() (any, error) { return answered(c.Recovery(ctx, endpoint)) },
		"stop recovery": func() (any, error) { return answered(c.StopRecovery(ctx, endpoint)) },
		"delivery":      func() (any, error) { return answered(c.Delivery(ctx, delivery)) },
		"redeliver":     func() (any, error) { return answered(c.Redeliver(ctx, delivery)) },
		"event":         func() (any, error) { return answered(c.Event(ctx, event)) },
		"delete":        func() (any, error) { return nil, c.DeleteEndpoint(ctx, endpoint) },
	}
}

// A login page, another service or a proxy may answer 200 to everything.
func TestAnyResponseIsNotTheAPIs(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`<html>login</html>`, `{}`, `null`, `[]`, ``, `{"id":"wh_other","endpointId":"wh_other"}`, `{"ok":true}`,
		`{"endpoints":null,"deliveries":null,"operations":null,"events":null,"eventTypes":null,"nextCursor":"x"}`,
	} {
		tries := 0
		c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
			tries++
			_, _ = io.WriteString(w, body)
		})
		calls := singles(t.Context(), c, "wh_1", "dlv_1", "evt_1")
		for name, does := range lists(t.Context(), c) {
			calls[name] = does
		}
		if body == `` {
			delete(calls, "delete")
		}
		for name, does := range calls {
			tries = 0
			got, err := does()
			require.ErrorContains(t, err, "none of this API", "%s: %s", name, body)
			require.Equal(t, 1, tries, "%s: %s", name, body)
			require.Empty(t, got, "%s: %s", name, body)
		}
		if _, err := c.CreateEndpoint(t.Context(), webhookclient.NewEndpoint{}); body[:min(6, len(body))] != `{"id":` {
			require.ErrorContains(t, err, "none of this API", body)
		}
	}
}

// Some paths of the API stand where an id could.
func TestWhatIsNoIDIsNotAskedFor(t *testing.T) {
	t.Parallel()
	s := newSender(t)
	tries := 0
	s.before = func(w http.ResponseWriter, _ *http.Request) {
		tries++
		w.WriteHeader(http.StatusContinue)
	}
	for _, id := range []string{"", ".", "..", "events", "deliveries", "operations", "event-types", "openapi.json", "wh_", "dlv_", "evt_", "wh_1/deliveries", "evt_1?x=1", "dlv_1/../x", "wh_1#", "wh_é", "1"} {
		for name, does := range singles(t.Context(), s.client, id, id, id) {
			got, err := does()
			require.ErrorContains(t, err, "this is no id of ", "%s of %q", name, id)
			require.Empty(t, got, name)
		}
		if id != "" {
			_, err := all(s.client.Deliveries(t.Context(), webhookclient.DeliveriesOptions{EndpointID: id}))
			require.ErrorContains(t, err, `this is no id of an endpoint: such an id begins with "wh_"`)
		}
	}
	require.Zero(t, tries)
}

func TestAListThatDoesNotGoOnEnds(t *testing.T) {
	t.Parallel()
	tries := 0
	c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		tries++
		_, _ = io.WriteString(w, `{"endpoints":[],"deliveries":[],"operations":[],"events":[],"eventTypes":[],"nextCursor":"same","more":true}`)
	})
	for name, does := range lists(t.Context(), c) {
		if name == "page of events" || name == "event types" { // which are one page
			continue
		}
		tries = 0
		_, err := does()
		require.ErrorContains(t, err, "its nextCursor leads to the same page again", name)
		require.Equal(t, 2, tries, name)
	}
}

// The response to a deletion may get lost; its repetition finds nothing.
func TestADeletionIsDoneOnce(t *testing.T) {
	t.Parallel()
	const notFound = `{"title":"Not Found","status":404}`
	for name, c := range map[string]struct {
		first    int
		then     int
		body     string
		succeeds bool
	}{
		"no response":                      {0, 404, notFound, true},
		"the server fails behind its work": {500, 404, notFound, true},
		"a proxy gives up":                 {504, 404, notFound, true},
		"nothing was done":                 {429, 404, notFound, false},
		"somebody else's 404":              {0, 404, "<html>", false},
		"mistyped":                         {404, 404, notFound, false},
		"forbidden":                        {0, 403, `{"status":403}`, false},
		"at once":                          {204, 0, "", true},
		"with nothing in it":               {200, 0, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var tries atomic.Int64
				client := fake(t, func(w http.ResponseWriter, r *http.Request) {
					switch n := tries.Add(1); {
					case n > 1 || c.first == 404:
						w.WriteHeader(c.then)
						_, _ = io.WriteString(w, c.body)
					case c.first == 0:
						<-r.Context().Done()
					default:
						w.WriteHeader(c.first)
					}
				})
				err := client.DeleteEndpoint(t.Context(), "wh_1")
				if c.succeeds {
					require.NoError(t, err)
				} else {
					require.ErrorAs(t, err, new(*webhookclient.Problem))
				}
				tries.Store(0)
				if _, err = client.StopRecovery(t.Context(), "wh_1"); c.first != 204 && c.first != 200 {
					require.Error(t, err, "it is asked what became of the recovery")
				}
			})
		})
	}
}

func TestAHeaderThatCannotBeSentIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"Authorization": "Bearer " + token + "\n", "X-Key": "a\x00b", "X Key": token, "": token, token + ":": "Authorization"} {
		tries := 0
		c, err := webhookclient.New("https://app.example.com", &webhookclient.Options{
			Authorize:  func(r *http.Request) error { tries++; r.Header[name] = []string{value}; return nil },
			HTTPClient: &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(nil)}},
		})
		require.NoError(t, err)
		_, err = c.Endpoint(t.Context(), "wh_1")
		require.ErrorContains(t, err, "Authorize has set", "%q", name)
		require.NotContains(t, err.Error(), token)
		require.Equal(t, 1, tries)
	}
}

func TestEmptyListsSelectAndChangeNothingUnnoticed(t *testing.T) {
	t.Parallel()
	s := newSender(t)
	s.emit(alotwebhook.EventCandidateCompleted, 1)
	made, err := s.client.CreateEndpoint(t.Context(), webhookclient.NewEndpoint{URL: "https://example.com/", Events: []string{alotwebhook.EventCandidateCompleted}})
	require.NoError(t, err)
	_, err = s.client.UpdateEndpoint(t.Context(), made.ID, webhookclient.EndpointChange{Events: []string{}})
	var p *webhookclient.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, "events", p.Errors[0].Field)
	_, err = s.client.UpdateEndpoint(t.Context(), made.ID, webhookclient.EndpointChange{})
	require.NoError(t, err)
	for _, types := range [][]string{{""}, {alotwebhook.EventCandidateCompleted, ""}, {"candidate.invited,candidate.completed"}, {","}} {
		_, err = all(s.client.Events(t.Context(), webhookclient.EventsOptions{Types: types}))
		require.ErrorContains(t, err, "give one event type")
		_, err = s.client.Reconcile(t.Context(), webhookclient.Reconciliation{Types: types, Handle: ignore})
		require.ErrorContains(t, err, "give one event type")
	}
	got, err := all(s.client.Events(t.Context(), webhookclient.EventsOptions{Types: []string{}}))
	require.NoError(t, err)
	require.Len(t, got, 1)
}

func TestAClientThatWasNotMade(t *testing.T) {
	t.Parallel()
	for _, c := range []*webhookclient.Client{nil, {}} {
		calls := singles(t.Context(), c, "wh_1", "dlv_1", "evt_1")
		for name, does := range lists(t.Context(), c) {
			calls[name] = does
		}
		calls["create"] = func() (any, error) { return answered(c.CreateEndpoint(t.Context(), webhookclient.NewEndpoint{})) }
		for name, does := range calls {
			_, err := does()
			require.ErrorContains(t, err, "make it with New", name)
		}
	}
}

func TestWhoAnsweredIsSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for status, want := range map[int]string{502: "something in front of it has answered", 503: "something in front of it has answered", 404: "is its URL right?", 302: "is its URL right?"} {
			c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, "<html>")
			})
			_, err := c.Endpoint(t.Context(), "wh_1")
			require.ErrorContains(t, err, want)
		}
	})
}

// A server that asks for ages asks for more than MaxWait.
func TestLongWaitsEndTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for after, want := range map[string]int{"61": 1, "9999999999": 1, "99999999999999999999999999": 1, "Fri, 31 Dec 9999 23:59:59 GMT": 1, "60": 6, "0": 6, "-1": 6, "soon": 6, "1.5": 6} {
			tries := 0
			c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
				tries++
				w.Header().Set("Retry-After", after)
				w.WriteHeader(http.StatusServiceUnavailable)
			})
			_, err := c.Endpoint(t.Context(), "wh_1")
			var p *webhookclient.Problem
			require.ErrorAs(t, err, &p)
			require.Equal(t, want, tries, after)
			require.Equal(t, want == 1, p.RetryAfter > time.Minute, after)
		}
	})
}
