package alotwebhook_test

import (
	"context"
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

func onceEndpoint() alotwebhook.Endpoint {
	return alotwebhook.Endpoint{OrganizationID: "org_a", URL: "https://example.com/hook", EventTypes: []string{alotwebhook.EventCandidateInvited}}
}

// sealed returns a dispatcher whose store holds sealed secrets.
func sealed(t *testing.T, store alotwebhook.Store) *alotwebhook.Dispatcher {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	sealer, err := alotwebhook.NewSealer(alotwebhook.SealingKey{ID: "k", Key: key})
	require.NoError(t, err)
	d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{Sealer: sealer, MaxEndpoints: -1})
	require.NoError(t, err)
	return d
}

func TestCreateEndpointOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		d := sealed(t, memory.New())
		first, repeated, err := d.CreateEndpointOnce(ctx, "k1", onceEndpoint())
		require.NoError(t, err)
		require.False(t, repeated)
		require.Regexp(t, `^wh_[0-7][0-9a-z]{25}$`, first.ID)

		time.Sleep(9 * time.Minute)
		again, repeated, err := d.CreateEndpointOnce(ctx, "k1", onceEndpoint())
		require.NoError(t, err)
		require.True(t, repeated)
		require.Equal(t, first, again, "with its secret")

		time.Sleep(time.Minute)
		again, repeated, err = d.CreateEndpointOnce(ctx, "k1", onceEndpoint())
		require.NoError(t, err)
		require.True(t, repeated)
		require.Empty(t, string(again.Secret), "ten minutes later")
		again.Secret = first.Secret
		require.Equal(t, first, again, "all else is the same")
		time.Sleep(23 * time.Hour)

		for name, change := range map[string]func(*alotwebhook.Endpoint){
			"url":         func(e *alotwebhook.Endpoint) { e.URL += "s" },
			"events":      func(e *alotwebhook.Endpoint) { e.EventTypes = []string{alotwebhook.EventCandidateCompleted} },
			"description": func(e *alotwebhook.Endpoint) { e.Description = "Berlin" },
			"disabled":    func(e *alotwebhook.Endpoint) { e.Disabled = true },
			"ordered":     func(e *alotwebhook.Endpoint) { e.Ordered = true },
			"rate":        func(e *alotwebhook.Endpoint) { e.Rate = 5 },
			"secret":      func(e *alotwebhook.Endpoint) { e.Secret = "sesame-street-123" },
		} {
			other := onceEndpoint()
			change(&other)
			_, _, err := d.CreateEndpointOnce(ctx, "k1", other)
			require.ErrorIs(t, err, alotwebhook.ErrKeyReused, name)
			require.NotContains(t, err.Error(), "sesame")
		}
		same := onceEndpoint()
		same.Secret = first.Secret
		_, repeated, err = d.CreateEndpointOnce(ctx, "k1", same)
		require.NoError(t, err)
		require.True(t, repeated)

		for name, key := range map[string]string{"another key": "k2", "none": ""} {
			e, repeated, err := d.CreateEndpointOnce(ctx, key, onceEndpoint())
			require.NoError(t, err, name)
			require.False(t, repeated, name)
			require.NotEqual(t, first.ID, e.ID, name)
		}
		elsewhere := onceEndpoint()
		elsewhere.OrganizationID = "org_b"
		e, repeated, err := d.CreateEndpointOnce(ctx, "k1", elsewhere)
		require.NoError(t, err)
		require.False(t, repeated)
		require.NotEqual(t, first.Secret, e.Secret)

		time.Sleep(2 * time.Hour)
		late, repeated, err := d.CreateEndpointOnce(ctx, "k1", onceEndpoint())
		require.NoError(t, err)
		require.False(t, repeated, "25 hours later")
		require.Greater(t, late.ID, first.ID)
	})
}

func TestCreateEndpointOnceFindsItAmongMany(t *testing.T) {
	t.Parallel()
	d := sealed(t, memory.New())
	want, _, err := d.CreateEndpointOnce(t.Context(), "k1", onceEndpoint())
	require.NoError(t, err)
	for range 150 { // more than one page
		_, err := d.CreateEndpoint(t.Context(), onceEndpoint())
		require.NoError(t, err)
	}
	last, _, err := d.CreateEndpointOnce(t.Context(), "k2", onceEndpoint())
	require.NoError(t, err)
	for key, e := range map[string]alotwebhook.Endpoint{"k1": want, "k2": last} {
		got, repeated, err := d.CreateEndpointOnce(t.Context(), key, onceEndpoint())
		require.NoError(t, err)
		require.True(t, repeated)
		require.Equal(t, e, got)
	}
}

func TestCreateEndpointOnceOfAChangedEndpoint(t *testing.T) {
	t.Parallel()
	d := sealed(t, memory.New())
	first, _, err := d.CreateEndpointOnce(t.Context(), "k1", onceEndpoint())
	require.NoError(t, err)
	changed := first
	changed.URL = "https://example.com/moved"
	_, err = d.UpdateEndpoint(t.Context(), changed)
	require.NoError(t, err)
	again, repeated, err := d.CreateEndpointOnce(t.Context(), "k1", onceEndpoint())
	require.NoError(t, err)
	require.True(t, repeated)
	require.Equal(t, "https://example.com/moved", again.URL, "as it is now")
	require.NoError(t, d.DeleteEndpoint(t.Context(), first.ID))
	_, repeated, err = d.CreateEndpointOnce(t.Context(), "k1", onceEndpoint())
	require.NoError(t, err)
	require.False(t, repeated)
}

func TestRotateSecretOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		d := sealed(t, memory.New())
		e, err := d.CreateEndpoint(ctx, onceEndpoint())
		require.NoError(t, err)
		at := time.Now().Add(time.Hour)
		first, repeated, err := d.RotateSecretOnce(ctx, "k1", e.ID, "", at)
		require.NoError(t, err)
		require.False(t, repeated)
		require.Regexp(t, `^whsec_.{44}$`, string(first))
		for _, shown := range []alotwebhook.Secret{first, first, "", "", ""} { // the last are after the rotation took effect
			again, repeated, err := d.RotateSecretOnce(ctx, "k1", e.ID, "", at)
			require.NoError(t, err)
			require.True(t, repeated)
			require.Equal(t, string(shown), string(again), "after %v", time.Until(at))
			if shown != "" {
				time.Sleep(9 * time.Minute)
				changed, err := d.Endpoint(ctx, e.ID)
				require.NoError(t, err)
				changed.Description += "!" // a change of anything else does not show the secret for longer
				_, err = d.UpdateEndpoint(ctx, changed)
				require.NoError(t, err)
				continue
			}
			time.Sleep(time.Hour)
		}
		again, repeated, err := d.RotateSecretOnce(ctx, "k1", e.ID, first, at)
		require.NoError(t, err)
		require.True(t, repeated)
		require.Equal(t, string(first), string(again), "whoever gives the secret has it")
		_, _, err = d.RotateSecretOnce(ctx, "k1", e.ID, "", time.Now().Add(time.Hour))
		require.ErrorIs(t, err, alotwebhook.ErrKeyReused)

		second, repeated, err := d.RotateSecretOnce(ctx, "k2", e.ID, "", time.Time{})
		require.NoError(t, err)
		require.False(t, repeated, "another key")
		require.NotEqual(t, string(first), string(second))
		_, repeated, err = d.RotateSecretOnce(ctx, "k3", e.ID, second, time.Time{})
		require.NoError(t, err)
		require.True(t, repeated, "it is that one already")
		_, repeated, err = d.RotateSecretOnce(ctx, "k1", e.ID, "", time.Time{})
		require.NoError(t, err)
		require.False(t, repeated, "no longer the newest")
		_, _, err = d.RotateSecretOnce(ctx, "k1", "wh_00000000000000000000000000", "", time.Time{})
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	})
}

func TestSendTestOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		store := memory.New()
		d := sealed(t, store)
		e, err := d.CreateEndpoint(ctx, onceEndpoint())
		require.NoError(t, err)
		first, repeated, err := d.SendTestOnce(ctx, "k1", e.ID, alotwebhook.EventCandidateInvited)
		require.NoError(t, err)
		require.False(t, repeated)
		parsed, err := alotwebhook.ParseEvent(first.Payload())
		require.NoError(t, err)
		require.Equal(t, first.ID, parsed.ID, "an id as any other")

		time.Sleep(9 * time.Minute)
		again, repeated, err := d.SendTestOnce(ctx, "k1", e.ID, alotwebhook.EventCandidateInvited)
		require.NoError(t, err)
		require.True(t, repeated)
		require.Equal(t, first.ID, again.ID)
		_, _, err = d.SendTestOnce(ctx, "k1", e.ID, alotwebhook.EventCandidateCompleted)
		require.ErrorIs(t, err, alotwebhook.ErrKeyReused)

		time.Sleep(3 * time.Minute)
		_, repeated, err = d.SendTestOnce(ctx, "k1", e.ID, alotwebhook.EventCandidateInvited)
		require.NoError(t, err)
		require.False(t, repeated, "12 minutes later")
		page, _, err := store.Deliveries(ctx, alotwebhook.Filter{OnlyTests: true})
		require.NoError(t, err)
		require.Len(t, page, 2)
	})
}

// A key makes the same id again once its endpoint was deleted. What is sent then is sent to
// the new endpoint and signed with its secret.
func TestKeyUsedAgainAfterItsEndpointWasDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{})
		defer w.run(t)()
		var ids []string
		for i, host := range []string{"one.example.com", "two.example.com"} {
			secret := alotwebhook.Secret("the secret of " + host)
			e, _, err := w.CreateEndpointOnce(t.Context(), "key", alotwebhook.Endpoint{
				OrganizationID: "org_1", URL: "https://" + host, EventTypes: []string{"candidate.completed"}, Secret: secret,
			})
			require.NoError(t, err)
			ids = append(ids, e.ID)
			w.emit(t)
			time.Sleep(time.Second)
			got := w.net.requests()
			require.Len(t, got, i+1)
			require.Equal(t, host, got[i].host)
			require.Equal(t, alotwebhook.Sign([]byte(got[i].body), secret), got[i].head.Get(alotwebhook.SignatureHeader))
			require.NoError(t, w.DeleteEndpoint(t.Context(), e.ID))
		}
		require.Equal(t, ids[0], ids[1])
	})
}

// A host that passes on a header that is not there has no key: nothing is a repeat, and no secret is shown again.
func TestAnEmptyKeyIsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		d := sealed(t, memory.New())
		made := map[string]bool{}
		for range 2 {
			e, repeated, err := d.CreateEndpointOnce(ctx, "", onceEndpoint())
			require.NoError(t, err)
			require.False(t, repeated)
			for range 2 {
				secret, repeated, err := d.RotateSecretOnce(ctx, "", e.ID, "", time.Time{})
				require.NoError(t, err)
				require.False(t, repeated)
				test, repeated, err := d.SendTestOnce(ctx, "", e.ID, alotwebhook.EventCandidateInvited)
				require.NoError(t, err)
				require.False(t, repeated)
				made[e.ID], made[string(secret)], made[test.ID] = true, true, true
			}
		}
		require.Len(t, made, 2+4+4)
	})
}
