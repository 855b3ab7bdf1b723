package interop_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// received is a request as it arrived.
type received struct {
	header http.Header
	body   string
}

// deliver makes a dispatcher send one event to a receiver on loopback, and returns the
// request that arrived there.
func deliver(t *testing.T, secret alotwebhook.Secret) received {
	t.Helper()
	arrived := make(chan received, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			arrived <- received{r.Header, string(body)}
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(receiver.Close)
	d, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		StandardWebhooks: true, AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	require.NoError(t, err)
	_, err = d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: receiver.URL + "/", EventTypes: []string{alotwebhook.EventCandidateCompleted}, Secret: secret,
	})
	require.NoError(t, err)
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_123", map[string]string{"candidateName": "Zoë <李>"})
	require.NoError(t, err)
	require.NoError(t, d.Emit(t.Context(), event))
	ended := make(chan error, 1)
	go func() { ended <- d.Run(t.Context()) }()
	t.Cleanup(func() { require.NoError(t, <-ended) })
	select {
	case r := <-arrived:
		return r
	case <-time.After(patience):
		t.Fatal("nothing was delivered")
		return received{}
	}
}

func TestGoLibraryVerifiesDeliveries(t *testing.T) {
	t.Parallel()
	for name, secret := range secrets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := deliver(t, secret)
			require.NoError(t, libraryOf(t, secret).Verify([]byte(r.body), r.header))
			other := libraryOf(t, "another secret")
			require.ErrorIs(t, other.Verify([]byte(r.body), r.header), standardwebhooks.ErrNoMatchingSignature)
			require.NoError(t, alotwebhook.Verify([]byte(r.body), r.header.Get(alotwebhook.SignatureHeader), secret))
		})
	}
}
