package settings_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

// certificatePEM returns a client certificate with its key.
func certificatePEM(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	model := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "jane & co"}, NotAfter: time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, model, model, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func quoted(t testing.TB, s string) string {
	t.Helper()
	text, err := json.Marshal(s)
	require.NoError(t, err)
	return string(text)
}

const withHeaders = `{"url":"https://example.com/hook","events":["candidate.completed"],"secret":"your-signing-secret",
	"headers":[{"name":"X-Tenant","value":"hunter2-tenant"},{"basic":{"user":"jane","password":"hunter2"}}]}`

// opened returns the headers that requests to an endpoint have. The host has no Sealer.
func (h *host) opened(id string) string {
	h.t.Helper()
	e, err := h.store.Endpoint(h.t.Context(), id)
	require.NoError(h.t, err)
	return string(e.Credentials)
}

func TestHeadersByTheAPI(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.create(withHeaders)
	path := "/v1/webhooks/" + id
	shown := []any{map[string]any{"name": "X-Tenant"}, map[string]any{"name": "Authorization"}}
	require.Equal(t, shown, h.do("GET", path, "").json["headers"])
	require.Contains(t, h.opened(id), "hunter2-tenant")
	require.Contains(t, h.opened(id), "Basic amFuZTpodW50ZXIy")

	got := h.do("PATCH", path, `{"description":"new"}`)
	require.Equal(t, shown, got.json["headers"], "a patch that does not name them keeps them")
	got = h.do("PATCH", path, `{"headers":[{"bearer":"hunter2-token"},{"name":"X-Tenant"}]}`)
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Equal(t, []any{map[string]any{"name": "Authorization"}, map[string]any{"name": "X-Tenant"}}, got.json["headers"])
	require.Contains(t, h.opened(id), "Bearer hunter2-token")
	require.Contains(t, h.opened(id), "hunter2-tenant")
	for _, none := range []string{"null", "[]"} {
		require.Equal(t, http.StatusOK, h.do("PATCH", path, `{"headers":[{"name":"X-A","value":"a"}]}`).status)
		require.NotContains(t, h.do("PATCH", path, `{"headers":`+none+`}`).json, "headers")
		require.Empty(t, h.opened(id))
	}
}

func TestClientCertificateByTheAPI(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.create(published)
	path := "/v1/webhooks/" + id
	got := h.do("PATCH", path, `{"clientCertificate":{"pem":`+quoted(t, certificatePEM(t))+`}}`)
	require.Equal(t, http.StatusOK, got.status, got.text)
	shown := map[string]any{"subject": "CN=jane & co", "expiresAt": "2099-01-02T03:04:05.000Z"}
	require.Equal(t, shown, got.json["clientCertificate"])
	require.Equal(t, shown, h.do("GET", path, "").json["clientCertificate"])
	require.Equal(t, []string{"clientCertificate"}, h.do("PATCH", path, `{"url":"https://other.example.com/"}`).fields())
	got = h.do("PATCH", path, `{"url":"https://other.example.com/","clientCertificate":null}`)
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.NotContains(t, got.json, "clientCertificate")
}

func TestBadCredentials(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.create(withHeaders)
	for _, tc := range []struct {
		body   string
		status int
		fields []string
	}{
		{`{"headers":{}}`, 400, []string{"headers"}},
		{`{"headers":"X-A: hunter2"}`, 400, []string{"headers"}},
		{`{"headers":["hunter2"]}`, 400, []string{"headers[0]"}},
		{`{"headers":[null]}`, 400, []string{"headers[0]"}},
		{`{"headers":[{"name":1,"value":["hunter2"]}]}`, 400, []string{"headers[0].name", "headers[0].value"}},
		{`{"headers":[{"value":"hunter2"}]}`, 400, []string{"headers[0].name"}},
		{`{"headers":[{"name":"X-A","value":""}]}`, 400, []string{"headers[0].value"}},
		{`{"headers":[{"name":"X-A","value":"hunter2","valeu":"hunter2"}]}`, 400, []string{"headers[0].valeu"}},
		{`{"headers":[{"name":"X-A","name":"X-B","value":"hunter2"}]}`, 400, []string{"headers[0].name"}},
		{`{"headers":[{"name":"X-A","bearer":"hunter2"}]}`, 400, []string{"headers[0]"}},
		{`{"headers":[{"bearer":"hunter2","basic":{"user":"hunter2"}}]}`, 400, []string{"headers[0]"}},
		{`{"headers":[{"bearer":"hunter2 hunter2"}]}`, 400, []string{"headers[0].bearer"}},
		{`{"headers":[{"basic":"hunter2"}]}`, 400, []string{"headers[0].basic"}},
		{`{"headers":[{"basic":{}}]}`, 400, []string{"headers[0].basic.user"}},
		{`{"headers":[{"basic":{"user":"a:hunter2","password":"hunter2"}}]}`, 400, []string{"headers[0].basic.user"}},
		{`{"headers":[{"basic":{"user":"a","password":"hunter2\n"}}]}`, 400, []string{"headers[0].basic.password"}},
		{`{"headers":[{"name":"X-A","value":"a"},{"name":"Host","value":"hunter2"}]}`, 422, []string{"headers[1].name"}},
		{`{"headers":[{"name":"X-A: hunter2","value":"a"}]}`, 422, []string{"headers[0].name"}},
		{`{"headers":[{"name":"X-A","value":"hunter2\r\nX-B: b"}]}`, 422, []string{"headers[0].value"}},
		{`{"headers":[{"name":"X-A"}]}`, 422, []string{"headers[0].value"}},
		{`{"headers":[{"bearer":"hunter2"},{"name":"authorization","value":"hunter2"}]}`, 422, []string{"headers[1].name"}},
		{`{"headers":[` + strings.Repeat(`{"name":"X-A","value":"hunter2"},`, 10) + `{"name":"X-A","value":"hunter2"}]}`, 422, []string{"headers"}},
		{`{"url":"https://other.example.com/"}`, 422, []string{"headers"}},
		{`{"url":"https://example.com/hook2","headers":[{"name":"X-Tenant"}]}`, 422, []string{"headers[0].value"}},
		{`{"clientCertificate":"hunter2"}`, 400, []string{"clientCertificate"}},
		{`{"clientCertificate":{}}`, 400, []string{"clientCertificate.pem"}},
		{`{"clientCertificate":{"key":"hunter2"}}`, 400, []string{"clientCertificate.key"}},
		{`{"clientCertificate":{"pem":"hunter2"}}`, 422, []string{"clientCertificate"}},
	} {
		got := h.do("PATCH", "/v1/webhooks/"+id, tc.body)
		require.Equal(t, tc.status, got.status, "%s: %s", tc.body, got.text)
		require.Equal(t, tc.fields, got.fields(), tc.body)
		require.NotContains(t, got.text, "hunter2", tc.body)
	}
	require.NotContains(t, h.log.String(), "hunter2")
	require.Contains(t, h.opened(id), "hunter2-tenant", "nothing was changed")
}

// Every route is asked: no response, log line or operation has a value.
func TestNoHeaderValueComesBack(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	certificate := certificatePEM(t)
	created := h.do("POST", "/v1/webhooks", strings.TrimSuffix(withHeaders, "}")+`,"clientCertificate":{"pem":`+quoted(t, certificate)+`}}`)
	require.Equal(t, http.StatusCreated, created.status, created.text)
	id := created.json["id"].(string)
	event := h.emit(alotwebhook.EventCandidateCompleted, 1)[0]
	h.attempt(alotwebhook.Outcome{Attempt: refused(1), State: alotwebhook.StateFailed})
	all := created.text + h.do("PATCH", "/v1/webhooks/"+id, `{"headers":[{"name":"X-Tenant","value":"hunter2-new"}]}`).text +
		h.do("GET", "/v1/webhooks/operations", "").text
	for _, c := range calls(h, id, alotwebhook.DeliveryID(event, id)) {
		all += h.do(c.method, c.path, c.body).text
	}
	require.Contains(t, all, "headers (X-Tenant)")
	require.Contains(t, all, `"subject":"CN=jane & co"`)
	for _, secret := range []string{"hunter2", "amFuZTpodW50ZXIy", "PRIVATE KEY", strings.Split(certificate, "\n")[1]} {
		require.NotContains(t, all, secret)
		require.NotContains(t, h.log.String(), secret)
	}
}

func TestHeadersTakeTheRightToSecrets(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.create(withHeaders)
	var err error
	h.handler, err = settings.NewAPI(h.dispatcher, &settings.Options{Organization: organization, May: rightSet{settings.ActionLook, settings.ActionChange}.may})
	require.NoError(t, err)
	for _, body := range []string{`{"headers":[]}`, `{"headers":null}`, `{"headers":[{"name":"X-Tenant"}]}`, `{"clientCertificate":null}`, `{"headers":[],"url":"https://other.example.com/"}`} {
		got := h.do("PATCH", "/v1/webhooks/"+id, body)
		require.Equal(t, http.StatusForbidden, got.status, body)
		require.Equal(t, []any{"secrets"}, got.json["missing"])
	}
	require.Equal(t, http.StatusUnprocessableEntity, h.do("PATCH", "/v1/webhooks/"+id, `{"url":"https://other.example.com/"}`).status)
	require.Equal(t, http.StatusOK, h.do("PATCH", "/v1/webhooks/"+id, `{"description":"new"}`).status)
	require.Contains(t, h.opened(id), "hunter2-tenant")
}

// A customer cannot touch the headers of another one's endpoint.
func TestHeadersOfAnotherOrganization(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.create(withHeaders)
	for _, body := range []string{`{"headers":[]}`, `{"clientCertificate":null}`, `{"headers":[{"name":"X-Tenant","value":"theirs"}]}`} {
		got := h.do("PATCH", "/v1/webhooks/"+id, body, "X-Organization", "org_b")
		require.Equal(t, http.StatusNotFound, got.status)
	}
	require.Contains(t, h.opened(id), "hunter2-tenant")
}
