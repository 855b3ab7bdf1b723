package e2e

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

// The pages of the operators, while there is nothing to see.
func TestTheOperatorsPagesAreFitToBeSeen(t *testing.T) {
	t.Parallel()
	h, _ := newOperators(t)
	b := open(t, h.base, true)
	for page, path := range map[string]string{"overview-well": "", "recoveries-none": "recoveries", "endpoints-none": "endpoints", "operations-none": "operations", "search": "search"} {
		b.visit(path)
		b.requireFitToBeSeen("operator-" + page)
	}

}

// The longest id of an organization, the longest note and the longest URL are no wider than the pages.
func TestLongNamesFitOnTheOperatorsPages(t *testing.T) {
	t.Parallel()
	h, _ := newOperators(t)
	long := strings.Repeat("organization", 21) // 252 bytes without a place to break
	e := h.endpointOf(t, long, "https://"+strings.Repeat("a", 60)+".example.test/"+strings.Repeat("b", 500))
	h.emitTo(t, long, 1)
	h.finishAll(t, alotwebhook.StateFailed, alotwebhook.Attempt{Reason: alotwebhook.ReasonTimeout})
	h.emitTo(t, long, 1)
	ctx := alotwebhook.WithActor(t.Context(), strings.Repeat("n", 128))
	for _, p := range []alotwebhook.Pause{{OrganizationID: long}, {EndpointID: e.ID}, {}} {
		p.Note = strings.Repeat("w", 256)
		_, err := h.dispatcher.Pause(ctx, p)
		require.NoError(t, err)
	}
	r, err := h.dispatcher.CancelMany(ctx, alotwebhook.Recovery{OrganizationID: long, Note: strings.Repeat("w", 256)})
	require.NoError(t, err)
	b := open(t, h.base, true)
	of := url.QueryEscape(long)
	for page, path := range map[string]string{
		"overview": "", "search": "search?q=" + of, "endpoints": "endpoints?organization=" + of, "deliveries": "deliveries?live=off", "operations": "operations",
		"recoveries": "recoveries", "recovery": "recoveries/" + r.EndpointID, "resume": "resume?organization=" + of, "pause": "pause?organization=" + of,
		"organization": "organizations/" + long + "/" + e.ID,
	} {
		b.size(1280)
		b.visit(path)
		b.requireFitToBeSeen("operator-long-" + page)
	}
}

// Every page of the operators, while much is wrong.
func TestTheOperatorsPagesOfATroubledHostAreFitToBeSeen(t *testing.T) {
	t.Parallel()
	h, store := newOperators(t)
	b := open(t, h.base, true)
	b.expected = []string{"status of 403", "status of 404", "status of 422"}
	h.seedTrouble(t, store)
	ctx := alotwebhook.WithActor(t.Context(), "ann@example.com")
	_, err := h.dispatcher.Pause(ctx, alotwebhook.Pause{OrganizationID: odd, Note: "Their service is being moved until Friday"})
	require.NoError(t, err)
	_, err = h.dispatcher.RecoverMany(ctx, alotwebhook.Recovery{OrganizationID: "org_northwind", FailedSince: time.Now().Add(-time.Hour), Note: "Our certificate had expired from 10:00 to 10:40"})
	require.NoError(t, err)
	_, err = h.dispatcher.CancelMany(ctx, alotwebhook.Recovery{OrganizationID: "org_flood", EventType: alotwebhook.EventCandidateInvited, Note: "Emitted twice by a bug"})
	require.NoError(t, err)
	for _, s := range []scene{
		{"overview", at("")},
		{"search-found", at("search?q=northwind")},
		{"search-nothing", at("search?q=nowhere")},
		{"endpoints", at("endpoints")},
		{"endpoints-failing", at("endpoints?failing=yes&url=crm")},
		{"deliveries", at("deliveries?live=off")},
		{"deliveries-empty", at("deliveries?organization=nobody&live=off")},
		{"operations", at("operations")},
		{"recoveries", at("recoveries")},
		{"recovery", linked("recoveries", ".lead a")},
		{"canceling", linked("recoveries", "tr:nth-child(2) .lead a")},
		{"organization", func(b *tab) { b.visit("organizations/" + url.PathEscape(odd) + "/") }},
		{"organization-endpoint", func(b *tab) { b.visit("organizations/org_northwind/"); b.click(".lead a"); b.sees("Latest deliveries") }},
		{"pause", at("pause?organization=org_flood")},
		{"pause-refused", func(b *tab) {
			b.visit("pause")
			b.click("form.form button.primary")
			b.sees("Choose what is to be paused")
		}},
		{"resume", at("resume?organization=" + url.QueryEscape(odd))},
		{"recover", at("recover")},
		{"recover-refused", func(b *tab) {
			b.visit("recover")
			b.fill("#field-endpoint", "x")
			b.click("form.form button.primary")
			b.sees("Say why you do it")
		}},
		{"recover-counted", func(b *tab) {
			b.visit("recover?organization=org_northwind")
			b.fill("#field-note", "Our certificate had expired")
			b.click("form.form button.primary")
			b.sees("14 deliveries to 7 endpoints of 1 organization")
		}},
		{"cancel-counted", func(b *tab) {
			b.visit("cancel?organization=org_flood")
			b.fill("#field-note", "Emitted twice by a bug")
			b.click("form.form button.primary")
			b.sees("1\u202f500 deliveries to 1 endpoint of 1 organization")
		}},
		{"missing", at("nothing")},
		{"refused", func(b *tab) {
			h.role.Store([]settings.Action{settings.ActionLook})
			b.visit("pause")
			b.sees("You may not do this")
		}},
		{"viewer-overview", at("")},
		{"viewer-organization", func(b *tab) { b.visit("organizations/org_northwind/") }},
	} {
		b.size(1280)
		s.show(b)
		b.requireFitToBeSeen("operator-" + s.name)
	}
}
