package alotwebhook_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

func TestNewSecret(t *testing.T) {
	t.Parallel()
	a, b := alotwebhook.NewSecret(), alotwebhook.NewSecret()
	require.NotEqual(t, string(a), string(b))
	text, ok := strings.CutPrefix(string(a), "whsec_")
	require.True(t, ok)
	random, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	require.Len(t, random, 32)
}

func TestSecretNeverShows(t *testing.T) {
	t.Parallel()
	const secret alotwebhook.Secret = "hunter2"
	verifier, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	holder := struct {
		Secret     alotwebhook.Secret
		Of         map[alotwebhook.Secret]alotwebhook.Secret `json:"-"`
		V          *alotwebhook.Verifier
		unexported alotwebhook.Verifier
	}{secret, map[alotwebhook.Secret]alotwebhook.Secret{secret: secret}, verifier, *verifier}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10.3v", "%!"} {
		fmt.Fprintf(&out, verb+"\n", secret)
		fmt.Fprintf(&out, verb+"\n", verifier)
		fmt.Fprintf(&out, verb+"\n", *verifier)
		fmt.Fprintf(&out, verb+"\n", holder)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("all", "secret", secret, "verifier", verifier, "holder", holder)
	}
	require.NoError(t, json.NewEncoder(&out).Encode(map[string]any{"s": secret, "v": verifier}))
	require.NoError(t, xml.NewEncoder(&out).Encode(secret))
	fmt.Fprint(&out, secret.String(), secret.GoString(), verifier)

	require.NotContains(t, out.String(), "hunter2")
	require.NotContains(t, out.String(), hex.EncodeToString([]byte("hunter2")))
	require.NotContains(t, strings.ToLower(out.String()), hex.EncodeToString([]byte("hunter2")))
	require.Contains(t, out.String(), "[REDACTED]")
	require.Contains(t, out.String(), "1 secrets")
}

func TestSecretIsReadFromJSON(t *testing.T) {
	t.Parallel()
	var in struct{ Secret alotwebhook.Secret }
	require.NoError(t, json.Unmarshal([]byte(`{"secret":"hunter2"}`), &in))
	require.Equal(t, "hunter2", string(in.Secret))
}

// sealing returns a sealer whose keys have these ids; a key's bytes depend on its id.
func sealing(t testing.TB, ids ...string) alotwebhook.Sealer {
	t.Helper()
	var keys []alotwebhook.SealingKey
	for _, id := range ids {
		sum := sha256.Sum256([]byte(id))
		keys = append(keys, alotwebhook.SealingKey{ID: id, Key: sum[:]})
	}
	sealer, err := alotwebhook.NewSealer(keys...)
	require.NoError(t, err)
	return sealer
}

// kept returns the secrets of all endpoints as the store holds them, by endpoint.
func (w *world) kept(t testing.TB) map[string][2]string {
	t.Helper()
	all := map[string][2]string{}
	page, _, err := w.store.Endpoints(t.Context(), alotwebhook.EndpointFilter{Limit: 1000})
	require.NoError(t, err)
	for _, e := range page {
		all[e.ID] = [2]string{string(e.Secret), string(e.NextSecret)}
	}
	return all
}

// A sealing key is retired in the steps of docs/operating.md.
func TestReseal(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := memory.New()
	process := func(s alotwebhook.Sealer) *world {
		return newWorldOn(t, store, alotwebhook.Config{Sealer: s, MaxEndpoints: -1, ChangesPerMinute: -1}, &receivers{})
	}
	before := process(nil) // before there was a Sealer
	_, err := before.Reseal(ctx)
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	plain := before.endpoint(t, "plain.example.com")
	old := process(sealing(t, "2025"))
	for range 120 { // more than one page
		old.endpoint(t, "a.example.com")
	}
	rotating := old.endpoint(t, "b.example.com")
	next, err := old.RotateSecret(ctx, rotating.ID, "", time.Now().Add(time.Hour))
	require.NoError(t, err)

	now := process(sealing(t, "2026", "2025"))
	fresh := now.endpoint(t, "c.example.com")
	changed, err := now.Reseal(ctx)
	require.NoError(t, err)
	require.Equal(t, 122, changed)
	for id, secrets := range now.kept(t) {
		require.Regexp(t, `^sealed1:2026:`, secrets[0])
		if id == rotating.ID {
			require.Regexp(t, `^sealed1:2026:`, secrets[1])
		} else {
			require.Empty(t, secrets[1])
		}
	}
	late := old.endpoint(t, "d.example.com") // by a process that has not got the new key yet
	changed, err = now.Reseal(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, changed)
	changed, err = now.Reseal(ctx)
	require.NoError(t, err)
	require.Zero(t, changed, "the old key can go")

	retired := sealing(t, "2026")
	for id, want := range map[string]alotwebhook.Secret{plain.ID: plain.Secret, fresh.ID: fresh.Secret, late.ID: late.Secret, rotating.ID: rotating.Secret} {
		e, err := store.Endpoint(ctx, id)
		require.NoError(t, err)
		got, err := retired.Open(id, e.Secret)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
		if id == rotating.ID {
			got, err = retired.Open(id, e.NextSecret)
			require.NoError(t, err)
			require.Equal(t, string(next), string(got))
		}
	}
}

// One secret that does not open must not keep all others from being sealed.
func TestResealLeavesAloneWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	store := memory.New()
	lost := newWorldOn(t, store, alotwebhook.Config{Sealer: sealing(t, "lost")}, &receivers{})
	bad := lost.endpoint(t, "bad.example.com")
	w := newWorldOn(t, store, alotwebhook.Config{Sealer: sealing(t, "2026", "2025")}, &receivers{})
	old := newWorldOn(t, store, alotwebhook.Config{Sealer: sealing(t, "2025")}, &receivers{})
	for range 3 {
		old.endpoint(t, "a.example.com")
	}
	kept := w.kept(t)[bad.ID]
	changed, err := w.Reseal(t.Context())
	require.ErrorContains(t, err, "secrets of 1 endpoints not sealed anew")
	require.ErrorContains(t, err, bad.ID)
	require.NotContains(t, err.Error(), kept[0])
	require.Equal(t, 3, changed)
	require.Equal(t, kept, w.kept(t)[bad.ID])
}

// contended is a store in which somebody changes each endpoint just before another does.
type contended struct {
	alotwebhook.Store
	change func(id string)
	busy   bool
}

func (s *contended) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	if !s.busy && s.change != nil {
		s.busy = true
		s.change(e.ID)
		defer func() { s.busy, s.change = false, nil }()
	}
	return s.Store.PutEndpoint(ctx, e, ops...)
}

func TestResealBesideChanges(t *testing.T) {
	t.Parallel()
	store := &contended{Store: memory.New()}
	old := newWorldOn(t, store, alotwebhook.Config{Sealer: sealing(t, "2025")}, &receivers{})
	e := old.endpoint(t, "a.example.com")
	gone := old.endpoint(t, "b.example.com")
	var rotated alotwebhook.Secret
	store.change = func(id string) {
		var err error
		rotated, err = old.RotateSecret(t.Context(), e.ID, "", time.Time{})
		require.NoError(t, err)
		require.NoError(t, old.DeleteEndpoint(t.Context(), gone.ID))
	}
	w := newWorldOn(t, store, alotwebhook.Config{Sealer: sealing(t, "2026", "2025")}, &receivers{})
	changed, err := w.Reseal(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, changed, "the deleted one is no error")
	stored, err := store.Endpoint(t.Context(), e.ID)
	require.NoError(t, err)
	got, err := sealing(t, "2026").Open(e.ID, stored.Secret)
	require.NoError(t, err)
	require.Equal(t, string(rotated), string(got), "the other change is not lost")
}

// Who can write the database could put a secret of his own there, in plain.
func TestAPlainSecretBesideASealerIsToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := newWorld(t, alotwebhook.Config{Sealer: sealing(t, "2026"), Logger: slog.New(slog.NewTextHandler(&log, nil))}, &receivers{})
		e := w.endpoint(t, "a.example.com")
		w.emit(t)
		stop := w.run(t)
		time.Sleep(time.Second)
		stored, err := w.store.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		stored.Secret = "written into the database"
		require.NoError(t, w.store.PutEndpoint(t.Context(), stored))
		w.emit(t)
		w.emit(t)
		time.Sleep(time.Minute)
		stop()
		require.Len(t, w.net.requests(), 3)
		require.Equal(t, 1, strings.Count(log.String(), "stored in plain although there is a Sealer"))
		require.Contains(t, log.String(), "endpoint="+e.ID)
		require.NotContains(t, log.String(), "written into")
	})
}

// However many secrets are stored in plain, each is told of.
func TestEveryPlainSecretIsToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 100
		var log bytes.Buffer
		store := memory.New()
		plain := newWorldOn(t, store, alotwebhook.Config{MaxEndpoints: n}, &receivers{})
		for i := range n {
			plain.endpoint(t, fmt.Sprintf("%d.example.com", i))
		}
		w := newWorldOn(t, store, alotwebhook.Config{Sealer: sealing(t, "2026"), Logger: slog.New(slog.NewTextHandler(&log, nil))}, &receivers{})
		w.emit(t)
		stop := w.run(t)
		time.Sleep(time.Minute)
		stop()
		require.Equal(t, n, strings.Count(log.String(), "stored in plain although there is a Sealer"))
	})
}
