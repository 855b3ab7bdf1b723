package alotwebhook_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// ownCertificate is a client certificate, for tests.
type ownCertificate struct {
	pem  string
	leaf *x509.Certificate
	pair tls.Certificate
}

func newCertificate(t testing.TB, name string) ownCertificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	model := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, model, model, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	pair, err := tls.X509KeyPair([]byte(text), []byte(text))
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return ownCertificate{text, leaf, pair}
}

// visitor is who sent a request, as a server saw it.
type visitor struct{ name, from, path string }

// demanding starts a server that demands one of these certificates, and notes who came.
func demanding(t *testing.T, version uint16, trusted ...ownCertificate) (s *httptest.Server, visitors func() []visitor) {
	t.Helper()
	var mu sync.Mutex
	var all []visitor
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, visitor{r.TLS.PeerCertificates[0].Subject.CommonName, r.RemoteAddr, r.URL.Path})
	}))
	pool := x509.NewCertPool()
	for _, c := range trusted {
		pool.AddCert(c.leaf)
	}
	s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: version, MaxVersion: version}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, func() []visitor { mu.Lock(); defer mu.Unlock(); return append([]visitor(nil), all...) }
}

// dispatcherFor returns a dispatcher that may send to a server of this machine.
func dispatcherFor(t *testing.T, s *httptest.Server, cfg alotwebhook.Config) *world {
	t.Helper()
	cfg.RootCAs = x509.NewCertPool()
	cfg.RootCAs.AddCert(s.Certificate())
	cfg.AllowNets = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	cfg.Logger, cfg.Sealer = slog.New(slog.DiscardHandler), sealing(t, "2026")
	store := memory.New()
	d, err := alotwebhook.NewDispatcher(store, &cfg)
	require.NoError(t, err)
	return &world{Dispatcher: d, store: store}
}

// attempted has an event sent to an endpoint and returns the first attempt.
func (w *world) attempted(t *testing.T, e alotwebhook.Endpoint) alotwebhook.Attempt {
	t.Helper()
	event := w.emit(t)
	var d alotwebhook.Delivery
	require.Eventually(t, func() bool { d = w.delivery(t, event, e); return d.AttemptCount > 0 }, patience, 5*time.Millisecond)
	return d.Attempts[0]
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	jane, john, host, stranger := newCertificate(t, "jane"), newCertificate(t, "john"), newCertificate(t, "host"), newCertificate(t, "stranger")
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, visitors := demanding(t, version, jane, john, host)
			_, port, err := net.SplitHostPort(server.Listener.Addr().String())
			require.NoError(t, err)
			register := func(w *world, path string, own *ownCertificate) alotwebhook.Endpoint {
				e := validEndpoint()
				e.URL = "https://127.0.0.1:" + port + path
				if own != nil {
					e.ClientCertificate = &alotwebhook.ClientCertificate{PEM: alotwebhook.Secret(own.pem)}
				}
				e, err := w.CreateEndpoint(t.Context(), e)
				require.NoError(t, err)
				return e
			}
			none := dispatcherFor(t, server, alotwebhook.Config{})
			defer none.run(t)()
			bare := none.attempted(t, register(none, "/none", nil))
			require.Equal(t, alotwebhook.ReasonTLS, bare.Reason)
			require.Equal(t, "the server demands a client certificate, and none is sent", bare.Detail)

			w := dispatcherFor(t, server, alotwebhook.Config{
				ClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &host.pair, nil },
			})
			defer w.run(t)()
			ofJane, ofJohn, ofHost := register(w, "/jane", &jane), register(w, "/john", &john), register(w, "/host", nil)
			for range 3 {
				for _, e := range []alotwebhook.Endpoint{ofJane, ofJohn, ofHost} {
					require.Empty(t, w.attempted(t, e).Detail)
				}
			}
			whose := map[string]string{}
			names := map[string]int{}
			for _, v := range visitors() {
				require.Equal(t, v.path, "/"+v.name, "each request has the certificate of its endpoint")
				if of, ok := whose[v.from]; ok {
					require.Equal(t, of, v.name, "a connection belongs to one endpoint")
				}
				whose[v.from] = v.name
				names[v.name]++
			}
			require.Len(t, names, 3)
			require.Less(t, len(whose), names["jane"]+names["john"]+names["host"], "connections are kept")

			wrong := w.attempted(t, register(w, "/stranger", &stranger))
			require.Equal(t, alotwebhook.ReasonTLS, wrong.Reason)
			require.Contains(t, wrong.Detail, "the server refuses the client certificate that was sent")
		})
	}
}

// nginx and others take every connection, and answer 400 for want of a certificate.
func TestDemandIsToldBesideAStatus(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	w := dispatcherFor(t, server, alotwebhook.Config{})
	e := validEndpoint()
	e.URL = server.URL + "/hook"
	e, err := w.CreateEndpoint(t.Context(), e)
	require.NoError(t, err)
	defer w.run(t)()
	require.Equal(t, "answered 400 Bad Request; the server had demanded a client certificate, and none was sent", w.attempted(t, e).Detail)
}
