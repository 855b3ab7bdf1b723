package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// offering has the host offer all that it can: subscriptions with a star, versions of payloads, and
// event types that are deprecated or new.
func offering(c *alotwebhook.Config) {
	c.Wildcards, c.PayloadVersions = true, []string{"2025-11", "2026-05-with-scores"}
	c.KeepResponseHeaders = 4096
	c.EventTypes = append(alotwebhook.DefaultEventTypes(),
		alotwebhook.EventType{Name: "candidate.withdrew", Description: "A candidate has withdrawn.", Deprecated: "Use candidate.left, which says why.", Example: json.RawMessage(`{"sessionId":"sess_1"}`)},
		alotwebhook.EventType{
			Name: "candidate.left", Description: "A candidate has left the process, or was taken out of it.", Since: "2026-05", Example: json.RawMessage(`{"sessionId":"sess_1","why":"another_offer"}`),
			Schema: json.RawMessage(`{"type":"object","required":["sessionId"],"properties":{"sessionId":{"type":"string","description":"The session that the candidate was invited to."},"why":{"enum":["another_offer","no_interest","unknown"],"description":"Why the candidate left, as far as anybody said."},"scores":{"type":"array","items":{"type":"object","properties":{"aVeryLongNameOfAFieldThatNobodyBreaks":{"type":"number","minimum":0,"maximum":100}}}}}}`),
		},
		alotwebhook.EventType{Name: "assessment.archived"},
	)
}

// certificate returns a client certificate with its key, in PEM.
func certificate(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	model := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "alot-webhooks", Organization: []string{"Northwind Traders"}}, NotAfter: time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, model, model, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// An endpoint that has all that one can have, and what it was sent.
func TestThePagesOfAHostThatOffersAllAreFitToBeSeen(t *testing.T) {
	t.Parallel()
	h := newIdleHost(t, offering)
	b := open(t, h.base, true)
	b.expected = []string{"status of 401", "status of 422"}
	e := h.attempted(t, b)
	e, err := h.dispatcher.UpdateEndpoint(t.Context(), alotwebhook.Endpoint{
		ID: e.ID, Version: e.Version, OrganizationID: "org_123", URL: "https://hooks.example.test/integrations/alot/webhook", Description: "The applicant tracking system",
		EventTypes: []string{"candidate.*", alotwebhook.EventAssessmentPublished}, PayloadVersion: "2025-11", Rate: 5,
		Headers:           []alotwebhook.Header{{Name: "X-Tenant", Value: "42"}, {Name: "X-A-Rather-Long-Name-Of-A-Header", Value: "7"}, {Name: "Authorization", Value: "Bearer 0123"}},
		ClientCertificate: &alotwebhook.ClientCertificate{PEM: alotwebhook.Secret(certificate(t))},
	})
	require.NoError(t, err)
	for _, s := range []scene{
		{"offers-endpoints", at("")},
		{"offers-endpoint", at(e.ID)},
		{"offers-new", func(b *tab) { b.visit("new"); b.click("#field-credentials summary") }},
		{"offers-edit", at(e.ID + "/edit")},
		{"offers-edit-refused", func(b *tab) {
			b.visit(e.ID + "/edit")
			run(b, chromedp.Evaluate[string](`document.getElementById("field-headers").value = "X-Tenant 42"`))
			run(b, chromedp.Evaluate[string](`document.getElementById("field-clientCertificate").value = "x"`))
			b.choose("#field-auth", "A user")
			b.fill("#field-user", "jane:doe")
			b.click("form.form button.primary")
			b.sees("has no colon")
		}},
		{"offers-event-types", func(b *tab) { b.visit("event-types"); b.click("#page section:last-of-type summary, section summary") }},
		{"offers-history", at("history?live=off")},
		{"offers-history-tests", at("history?test=true&live=off")},
		{"offers-delivery-test", func(b *tab) { b.visit("history?test=true&live=off"); b.click(".lead a"); b.opensAll() }},
		{"offers-delivery-moved", func(b *tab) { b.visit("history?test=false&live=off"); b.click(".lead a"); b.opensAll() }},
		{"offers-sending", func(b *tab) {
			b.visit(e.ID)
			b.click(`form[action$="/send-missed"] button`)
			b.sees("Sending what was missed")
		}},
		{"offers-signed-out", func(b *tab) { h.signedOut.Store(true); b.visit("history"); b.sees("Sign in") }},
	} {
		b.size(1280)
		s.show(b)
		b.requireFitToBeSeen(s.name)
	}
}

// opensAll opens all that a page has folded, once it is there.
func (b *tab) opensAll() {
	b.t.Helper()
	b.sees("Attempts")
	run(b, chromedp.Evaluate[bool](`document.querySelectorAll("details").forEach((d) => { d.open = true; }); true`))
}

// attempted registers an endpoint, and has an event and a test fail there.
func (h *host) attempted(t testing.TB, b *tab) alotwebhook.Endpoint {
	t.Helper()
	service := newReceiver(t)
	service.breaks()
	e, err := h.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{OrganizationID: "org_123", URL: service.url, EventTypes: []string{alotwebhook.EventCandidateInvited}})
	require.NoError(t, err)
	h.emit(t)
	_, err = h.dispatcher.SendTest(t.Context(), e.ID, "candidate.left")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.dispatcher.Run(ctx) }()
	b.visit("history?status=failed&test=true")
	b.sees("500 Internal Server Error")
	b.visit("history?status=failed&test=false")
	b.sees("500 Internal Server Error")
	stop()
	require.NoError(t, <-done)
	return e
}

// What operators do about a person and an organization that has left, before, while and after it is done.
func TestTheOperatorsPagesOfErasingAreFitToBeSeen(t *testing.T) {
	t.Parallel()
	h, _ := newOperators(t)
	b := open(t, h.base, true)
	b.expected = []string{"status of 422"}
	const subject = "candidate/7f3c1a52-9f0e-4a7b-8d0c-2f6b1d9c5e11"
	e := h.endpointOf(t, "org_northwind", "https://crm.northwind.test/integrations/alot/webhook")
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateInvited, "org_northwind", map[string]string{"sessionId": "sess_1"})
	require.NoError(t, err)
	event.Subject = subject
	require.NoError(t, h.dispatcher.Emit(t.Context(), event))
	ctx := alotwebhook.WithActor(t.Context(), "ann@example.com")
	_, err = h.dispatcher.SendMissed(ctx, e.ID, time.Time{})
	require.NoError(t, err)
	of := url.QueryEscape(subject)
	for _, s := range []scene{
		{"search-subject", at("search?q=" + of)},
		{"deliveries-subject", at("deliveries?live=off&subject=" + of)},
		{"delivery-subject", func(b *tab) { b.visit("deliveries?live=off&subject=" + of); b.click(".lead a"); b.opensAll() }},
		{"erase", at("erase?subject=" + of)},
		{"erase-refused", func(b *tab) { b.visit("erase"); b.click("form.form button.primary"); b.sees("Nothing was erased") }},
		{"erase-sure", func(b *tab) {
			b.visit("erase?subject=" + of)
			b.fill("#field-organization", "org_northwind")
			b.fill("#field-note", "Request of 12 March, ticket 7")
			b.click("form.form button.primary")
			b.sees("This cannot be undone")
		}},
		{"erasing", func(b *tab) { b.click("#do"); b.sees("Erase personal data") }},
		{"remove", at("remove")},
		{"remove-refused", func(b *tab) { b.visit("remove"); b.click("form.form button.danger"); b.sees("Nothing was removed") }},
		{"removing", func(b *tab) {
			b.visit("remove")
			b.fill("#field-organization", "org_southwind")
			b.fill("#field-again", "org_southwind")
			b.fill("#field-note", "Their contract has ended")
			b.click("form.form button.danger")
			b.sees("Remove an organization")
		}},
		{"recoveries-erasing", at("recoveries")},
		{"overview-erasing", at("")},
		{"operations-erasing", at("operations")},
	} {
		b.size(1280)
		s.show(b)
		b.requireFitToBeSeen("operator-" + s.name)
	}
}
