package settings_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for key, status := range map[string]int{
		"5d1b7a86-0c2f-4a41-9d1c-3f1f2b0a9e77": 201,
		`"quoted"`:                             201,
		strings.Repeat("k", 255):               201,
		"":                                     400,
		`""`:                                   400,
		"a b":                                  400,
		"a\x00b":                               400,
		"a\r\nb":                               400,
		"schlüssel":                            400,
		`a"b`:                                  400,
		strings.Repeat("k", 256):               400,
	} {
		got := h.do("POST", "/v1/webhooks", published, "Idempotency-Key", key)
		require.Equal(t, status, got.status, "%q", key)
		if status == 400 {
			require.Equal(t, []string{"Idempotency-Key"}, got.fields())
		}
	}
	quoted := h.do("POST", "/v1/webhooks", published, "Idempotency-Key", "quoted")
	require.Equal(t, "true", quoted.header.Get("Idempotency-Replayed"), "the same without quotation marks")
}

func TestAnErrorIsNotRemembered(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	require.Equal(t, 422, h.do("POST", "/v1/webhooks", `{}`, "Idempotency-Key", "k1").status)
	require.Equal(t, 422, h.do("POST", "/v1/webhooks", `{}`, "Idempotency-Key", "k1").status)
	h.create(published, "Idempotency-Key", "k1")
	require.Equal(t, 422, h.do("POST", "/v1/webhooks", `{}`, "Idempotency-Key", "k1").status)
	h.create(published, "Idempotency-Key", "k1")
	require.Len(t, h.do("GET", "/v1/webhooks", "").json["endpoints"], 1)
}

func TestOldKeysMakeRoom(t *testing.T) {
	t.Parallel()
	h := newHostWith(t, memory.New(), alotwebhook.Config{RedeliveriesPerMinute: -1})
	_, delivery := h.withDelivery()
	path := "/v1/webhooks/deliveries/" + delivery + "/redeliver"
	for i := range 1001 {
		h.do("POST", path, "", "Idempotency-Key", fmt.Sprint("k", i))
	}
	require.Empty(t, h.do("POST", path, "", "Idempotency-Key", "k0").header.Get("Idempotency-Replayed"))
	require.Equal(t, "true", h.do("POST", path, "", "Idempotency-Key", "k1000").header.Get("Idempotency-Replayed"))
}

func TestAnOrganizationsKeysDoNotPushOutAnothers(t *testing.T) {
	t.Parallel()
	h := newHostWith(t, memory.New(), alotwebhook.Config{RedeliveriesPerMinute: -1})
	_, delivery := h.withDelivery()
	path := "/v1/webhooks/deliveries/" + delivery + "/redeliver"
	require.Equal(t, http.StatusAccepted, h.do("POST", path, "", "Idempotency-Key", "mine").status)
	replayed := func() string {
		return h.do("POST", path, "", "Idempotency-Key", "mine").header.Get("Idempotency-Replayed")
	}

	endpoint := h.do("POST", "/v1/webhooks", published, "X-Organization", "org_b").json["id"].(string)
	for i := range 1500 { // accepted requests
		got := h.do("POST", "/v1/webhooks/"+endpoint+"/test", `{"type":"candidate.invited"}`, "X-Organization", "org_b", "Idempotency-Key", fmt.Sprint("k", i))
		require.Contains(t, []int{http.StatusAccepted, http.StatusTooManyRequests}, got.status)
	}
	for i := range 1500 { // refused ones, of another and of the same organization
		h.do("POST", "/v1/webhooks", `{}`, "X-Organization", "org_b", "Idempotency-Key", fmt.Sprint("r", i))
		h.do("POST", "/v1/webhooks", `{}`, "Idempotency-Key", fmt.Sprint("r", i))
	}
	require.Equal(t, "true", replayed())
}

func TestARepeatedRequestShowsWhatThereIsNow(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint, delivery := h.withDelivery()
	path := "/v1/webhooks/deliveries/" + delivery
	first := h.do("POST", path+"/redeliver", "", "Idempotency-Key", "k1")
	require.Equal(t, http.StatusAccepted, first.status)
	h.attempt(alotwebhook.Outcome{Attempt: refused(2), State: alotwebhook.StateFailed})
	again := h.do("POST", path+"/redeliver", "", "Idempotency-Key", "k1")
	require.Equal(t, http.StatusAccepted, again.status)
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	require.Equal(t, first.header.Get("Location"), again.header.Get("Location"))
	require.Equal(t, "failed", again.json["status"], "it was not sent a third time")
	require.Equal(t, delivery, again.json["id"])

	recover := "/v1/webhooks/" + endpoint + "/recover"
	begun := h.do("POST", recover, "", "Idempotency-Key", "k1")
	require.Equal(t, http.StatusAccepted, begun.status)
	require.Equal(t, http.StatusOK, h.do("DELETE", recover, "").status)
	again = h.do("POST", recover, "", "Idempotency-Key", "k1")
	require.Equal(t, http.StatusAccepted, again.status)
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	require.Equal(t, begun.header.Get("Location"), again.header.Get("Location"))
	require.Equal(t, begun.json["createdAt"], again.json["createdAt"])
	require.Equal(t, "stopped", again.json["status"])
}

// slow is a store that says when it begins to store an endpoint, and then waits until
// it is told to go on.
type slow struct {
	alotwebhook.Store
	begun, goOn chan struct{}
}

func (s *slow) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	s.begun <- struct{}{}
	<-s.goOn
	return s.Store.PutEndpoint(ctx, e, ops...)
}

func TestARequestThatIsWorkedOnIsNotBegunAgain(t *testing.T) {
	t.Parallel()
	store := &slow{memory.New(), make(chan struct{}), make(chan struct{})}
	h := newHostOn(t, store)
	first := make(chan reply, 1)
	go func() { first <- h.do("POST", "/v1/webhooks", published, "Idempotency-Key", "k1") }()
	<-store.begun
	got := h.do("POST", "/v1/webhooks", published, "Idempotency-Key", "k1")
	require.Equal(t, http.StatusConflict, got.status)
	require.Equal(t, []string{"Idempotency-Key"}, got.fields())
	require.Equal(t, "1", got.header.Get("Retry-After"), "the conflict passes")
	close(store.goOn)
	made := <-first
	require.Equal(t, http.StatusCreated, made.status)
	require.Equal(t, made.text, h.do("POST", "/v1/webhooks", published, "Idempotency-Key", "k1").text)
}

// Two processes do not know of each other's requests, so the store has to accept only
// one of the two endpoints.
func TestTwoProcessesRegisterOne(t *testing.T) {
	t.Parallel()
	store := memory.New()
	hosts := []*host{newHostOn(t, store), newHostOn(t, store)}
	var made [2]reply
	var both sync.WaitGroup
	for i, h := range hosts {
		both.Go(func() { made[i] = h.do("POST", "/v1/webhooks", published, "Idempotency-Key", "k1") })
	}
	both.Wait()
	require.Equal(t, made[0].text, made[1].text)
	require.Len(t, hosts[0].do("GET", "/v1/webhooks", "").json["endpoints"], 1)
}

// contested is a store in which somebody else always changes the endpoint first.
type contested struct {
	alotwebhook.Store
	reads *atomic.Int64
}

func (c contested) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	e, err := c.Store.Endpoint(ctx, id)
	e.Version += c.reads.Add(1)
	return e, err
}

func TestAChangeThatOthersAlwaysForestallIsGivenUp(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	path := "/v1/webhooks/" + h.create(published)
	h.handler = newHostOn(t, contested{h.store, new(atomic.Int64)}).handler
	got := h.do("PATCH", path, `{"disabled":true}`)
	require.Equal(t, http.StatusConflict, got.status)
	require.Equal(t, "1", got.header.Get("Retry-After"), "the conflict passes")
	require.Equal(t, http.StatusPreconditionFailed, h.do("PATCH", path, `{"disabled":true}`, "If-Match", `"9"`).status)
}

// A key is no second password: whoever learns it later is shown no secret.
func TestAKeyShowsTheSecretForTenMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		made := h.do("POST", "/v1/webhooks", published, "Idempotency-Key", "k1")
		path := "/v1/webhooks/" + made.json["id"].(string) + "/rotate-secret"
		rotated := h.do("POST", path, "", "Idempotency-Key", "k2")
		for _, shown := range []bool{true, false, false} {
			again := h.do("POST", path, "", "Idempotency-Key", "k2")
			require.Equal(t, 200, again.status)
			require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
			if shown {
				require.Equal(t, rotated.json["secret"], again.json["secret"])
			} else {
				require.NotContains(t, again.json, "secret")
			}
			time.Sleep(10 * time.Minute)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		const body = `{"url":"https://example.com/hook","events":["candidate.invited"]}`
		made := h.do("POST", "/v1/webhooks", body, "Idempotency-Key", "k1")
		require.NotEmpty(t, made.json["secret"])
		for _, shown := range []bool{true, false, false} {
			again := h.do("POST", "/v1/webhooks", body, "Idempotency-Key", "k1")
			require.Equal(t, 201, again.status)
			require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
			require.Equal(t, made.json["id"], again.json["id"])
			if shown {
				require.Equal(t, made.json["secret"], again.json["secret"])
			} else {
				require.NotContains(t, again.json, "secret")
			}
			time.Sleep(10 * time.Minute)
		}
	})
}

// A rotation is repeated with its key also once its time has come: only a new one is refused then.
func TestARotationIsRepeatedAfterItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		path := "/v1/webhooks/" + h.create(published) + "/rotate-secret"
		body := `{"secret":"sesame-street-123","signsFrom":"` + time.Now().Add(time.Hour).Format(time.RFC3339) + `"}`
		first := h.do("POST", path, body, "Idempotency-Key", "k1")
		require.Equal(t, http.StatusOK, first.status, first.text)
		time.Sleep(2 * time.Hour)
		again := h.do("POST", path, body, "Idempotency-Key", "k1")
		require.Equal(t, http.StatusOK, again.status, again.text)
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
		late := h.do("POST", path, strings.Replace(body, "street", "corner", 1), "Idempotency-Key", "k2")
		require.Equal(t, http.StatusUnprocessableEntity, late.status)
		require.Equal(t, []string{"signsFrom"}, late.fields())
	})
}
