package settings_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

// withCredentials registers an endpoint of org_a that has headers and a certificate.
func (s *site) withCredentials() alotwebhook.Endpoint {
	s.t.Helper()
	e, err := s.dispatcher.CreateEndpoint(s.t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_a", URL: "https://a.example.com/hook", EventTypes: []string{alotwebhook.EventCandidateCompleted},
		Headers:           []alotwebhook.Header{{Name: "X-Tenant", Value: "hunter2-tenant"}, {Name: "Authorization", Value: "hunter2"}},
		ClientCertificate: &alotwebhook.ClientCertificate{PEM: alotwebhook.Secret(certificatePEM(s.t))},
	})
	require.NoError(s.t, err)
	return e
}

// edit sends the form to change an endpoint, with what it has and these fields.
func (s *site) edit(id string, fields ...string) shown {
	s.t.Helper()
	e := s.stored(id)
	url := e.URL
	if fields[0] == "url" {
		url, fields = fields[1], fields[2:]
	}
	return s.post("/"+id+"/edit", append([]string{"url", url, "events", e.EventTypes[0], "version", strconv.FormatInt(e.Version, 10)}, fields...))
}

func TestHeadersOnThePages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.withCredentials()
	kept := string(s.stored(e.ID).Credentials)
	form := s.get("/" + e.ID + "/edit").text
	require.Contains(t, form, "\nX-Tenant:\nAuthorization:\n</textarea>")
	require.Contains(t, form, "CN=jane &amp; co, valid until")
	page := s.get("/" + e.ID).text
	require.Contains(t, page, "<code>X-Tenant</code>")
	require.Contains(t, page, "CN=jane &amp; co, valid until")

	require.Equal(t, http.StatusSeeOther, s.edit(e.ID, "headers", "X-Tenant:\r\nAuthorization:\r\n", "auth", "", "user", "", "password", "", "token", "", "clientCertificate", "").status)
	require.Equal(t, kept, string(s.stored(e.ID).Credentials), "the form as it was opened changes nothing")

	require.Equal(t, http.StatusSeeOther, s.edit(e.ID, "headers", "X-Tenant:\r\n\r\nAuthorization:\r\nX-New :  hunter2:new \r\n", "auth", "basic", "user", "jane", "password", "hunter2").status)
	kept = string(s.stored(e.ID).Credentials)
	for _, has := range []string{"hunter2-tenant", "Basic amFuZTpodW50ZXIy", "hunter2:new", "CN=jane"} {
		require.Contains(t, kept, has)
	}
	require.Equal(t, http.StatusSeeOther, s.edit(e.ID, "headers", "", "auth", "bearer", "token", "hunter2-token", "noCertificate", "yes").status)
	require.NotContains(t, string(s.stored(e.ID).Credentials), "CN=jane")
	require.Contains(t, string(s.stored(e.ID).Credentials), "Bearer hunter2-token")
	require.Equal(t, http.StatusSeeOther, s.edit(e.ID, "headers", "").status)
	require.Empty(t, string(s.stored(e.ID).Credentials))
}

func TestAnEndpointIsAddedWithHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	got := s.added("https://a.example.com/hook", "headers", "X-Tenant: hunter2", "auth", "bearer", "token", "hunter2-token", "clientCertificate", certificatePEM(t))
	require.Equal(t, http.StatusOK, got.status)
	require.NotContains(t, got.text, "hunter2")
	kept := string(s.stored(s.only().ID).Credentials)
	require.Contains(t, kept, "Bearer hunter2-token")
	require.Contains(t, kept, "CN=jane")
}

// What is refused stands beside its field, and the form has no value of it.
func TestBadHeadersOnThePages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.withCredentials()
	kept := s.stored(e.ID)
	for _, tc := range []struct {
		fields      []string
		id, problem string
	}{
		{[]string{"headers", "hunter2"}, "headers", "The header in line 1 has no colon"},
		{[]string{"headers", "X-A: a\nHost: hunter2"}, "headers", "The header &#34;Host&#34; says how the request is sent"},
		{[]string{"headers", "X-A: hunter2\u00e9"}, "headers", "The value of &#34;X-A&#34; has a character"},
		{[]string{"headers", "X-A:"}, "headers", "The value of &#34;X-A&#34; is empty"},
		{[]string{"headers", "X-Tenant: …"}, "headers", "The header in line 1 needs its value again"},
		{[]string{"headers", "", "auth", "basic", "user", "a:b", "password", "hunter2"}, "user", "The user has a colon"},
		{[]string{"headers", "", "auth", "basic", "user", "a", "password", "hunter2\x01"}, "password", "The password has a control"},
		{[]string{"headers", "", "auth", "bearer", "token", "hunter2 a"}, "token", "The token has a character"},
		{[]string{"headers", "", "clientCertificate", "hunter2"}, "clientCertificate", "The client certificate has no certificate"},
		{[]string{"headers", "", "clientCertificate", "hunter2", "noCertificate", "yes"}, "clientCertificate", "The client certificate is given, and is to be removed"},
		{[]string{"url", "https://b.example.com/", "headers", "X-Tenant:\nAuthorization:"}, "headers", "is not sent to another one"},
		{[]string{"url", "https://b.example.com/", "headers", ""}, "clientCertificate", "is not used for another one"},
	} {
		got := s.edit(e.ID, tc.fields...)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, tc.fields)
		_, beside, _ := strings.Cut(got.text, `<p class="problem" id="problem-`+tc.id+`">`)
		beside, _, _ = strings.Cut(beside, "</p>")
		require.Contains(t, beside, tc.problem, tc.fields)
		require.NotContains(t, got.text, "hunter2", tc.fields)
		require.Equal(t, kept, s.stored(e.ID))
	}
	got := s.edit(e.ID, "url", "not a URL", "headers", "X-Tenant: hunter2-new\nAuthorization:", "auth", "basic", "user", "hunter2", "password", "hunter2")
	require.Contains(t, got.text, "\nX-Tenant: …\nAuthorization:\n</textarea>", "a value that was typed must not seem to be kept")
	require.Contains(t, got.text, "fill them in once more")
	require.NotContains(t, got.text, "hunter2")
	require.Equal(t, http.StatusBadRequest, s.edit(e.ID, "headers", "", "auth", "digest").status)
}

func TestHeadersOnThePagesTakeTheRightToSecrets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.withCredentials()
	kept := s.stored(e.ID)
	s.let(rightSet{settings.ActionLook, settings.ActionChange}.may)
	form := s.get("/" + e.ID + "/edit").text
	require.Contains(t, form, "<code>X-Tenant</code>")
	require.NotContains(t, form, `name="headers"`)
	require.NotContains(t, form, `name="clientCertificate"`)
	for _, field := range []string{"headers", "auth", "user", "password", "token", "clientCertificate", "noCertificate"} {
		require.Equal(t, http.StatusForbidden, s.edit(e.ID, field, "").status, field)
	}
	require.Equal(t, http.StatusUnprocessableEntity, s.edit(e.ID, "url", "https://b.example.com/").status)
	require.Equal(t, kept, s.stored(e.ID))
	require.Equal(t, http.StatusSeeOther, s.edit(e.ID, "description", "new").status)
	require.Equal(t, string(kept.Credentials), string(s.stored(e.ID).Credentials))
	s.let(nil)
	require.Equal(t, http.StatusNotFound, s.post("/"+e.ID+"/edit", []string{"headers", ""}, "X-Organization", "org_b").status)
}

// No page has a value, before and after a change.
func TestNoHeaderValueIsOnAPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.withCredentials()
	delivery := s.event(e, `{}`)
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{Reason: alotwebhook.ReasonStatus, StatusCode: 500, StartedAt: e.CreatedAt})
	require.Equal(t, http.StatusSeeOther, s.edit(e.ID, "headers", "X-Tenant: hunter2-new").status)
	for _, path := range []string{"/", "/new", "/history", "/deliveries/" + delivery, "/" + e.ID, "/" + e.ID + "/edit", "/" + e.ID + "/rotate", "/" + e.ID + "/delete"} {
		got := s.get(path)
		require.Equal(t, http.StatusOK, got.status, path)
		require.NotContains(t, got.text, "hunter2", path)
		require.NotContains(t, got.text, "PRIVATE KEY-", path)
		if path == "/"+e.ID {
			require.True(t, strings.Contains(got.text, "headers (X-Tenant)"), "the changes tell of it")
		}
	}
}
