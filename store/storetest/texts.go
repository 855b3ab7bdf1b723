package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var textRules = []rule{
	{"OrganizationsDiffer", "Organizations are compared byte by byte: those that differ in case, in an accent or in a blank at the end are different, in each method.", organizationsDiffer},
	{"TypesDiffer", "Event types are compared byte by byte, by Enqueue and by the filter.", typesDiffer},
	{"SubjectsDiffer", "Subjects of up to 128 bytes are kept whole and compared byte by byte, by the filter and by Erase.", subjectsDiffer},
	{"IDsDiffer", "Ids are compared byte by byte: an id with another case or a blank at the end is an unknown one, in each method.", idsDiffer},
	{"PutTogether", "Texts are compared each for itself: no two become the same by standing side by side.", textsPutTogether},
	{"Longest", "The longest texts that the contract allows are kept whole, whatever characters they end with.", longestTexts},
	{"Refused", "A dispatcher on the store refuses texts with a NUL, and what is not UTF-8, or finds nothing, in each method.", dispatcherRefusesTexts},
	{"Times", "A dispatcher on the store refuses times out of the years 1 to 9999, in each method, and the store takes those within.", dispatcherRefusesTimes},
	{"Cursors", "Deliveries, Operations and Erase refuse a cursor that is not the id of a delivery, an operation or an event, with an ErrInvalid.", wrongCursors},
	{"NotFound", "An error says ErrNotFound of an id in few words, however long that is.", notFoundIsShort},
	{"RefusesAsAWhole", "A batch of events of which the store refuses one is not stored at all; the others can be stored without it.", enqueueRefusesAsAWhole},
}

// lookalikes returns texts that a database may take for the same as s, and s nearly.
func lookalikes(s string) []string {
	return []string{
		strings.ToUpper(s), strings.ToUpper(s[:1]) + s[1:], // another case
		s[:len(s)-1] + "é", s[:len(s)-1] + "e\u0301", // an accent, spelled in two ways
		s + " ", s + "  ", s + "\t", " " + s, s + "\u00a0", // blanks
		s + "\u200b", s + "\u00ad", // what nobody sees
		s[:len(s)-1], s + "x", s + "%", s[:len(s)-1] + "_", "%", // patterns
		strings.Map(fullWidth, s),                                         // compatibility
		strings.Replace(s, "s", "ß", 1), strings.Replace(s, "ss", "ß", 1), // expansions
	}
}

// fullWidth turns a small letter into its wide form.
func fullWidth(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r - 'a' + 'ａ'
	}
	return r
}

// A database may take ACME, acmé and "acme " for the same as acme: many do so unless they
// are told otherwise. Then one customer gets the events of another.
func organizationsDiffer(t *trial) {
	const own = "acmesse"
	e := t.endpoint(own, completed)
	var others []string
	seen := map[string]bool{own: true}
	for _, org := range lookalikes(own) {
		if !seen[org] {
			seen[org] = true
			others = append(others, org)
		}
	}
	for _, org := range others {
		t.emit(org, completed, 1)
	}
	require.Empty(t, t.list(alotwebhook.Filter{}), "events of other organizations go to the endpoint of %q", own)
	require.Empty(t, t.claim(100))

	t.emit(own, completed, 1)
	for _, org := range others {
		require.Empty(t, t.list(alotwebhook.Filter{OrganizationID: org}), "%q sees deliveries of %q", org, own)
		page, _, err := t.store.Endpoints(t.ctx(), alotwebhook.EndpointFilter{OrganizationID: org})
		require.NoError(t, err)
		require.Empty(t, page, "%q sees endpoints of %q", org, own)
		page, _, err = t.store.Endpoints(t.ctx(), alotwebhook.EndpointFilter{OrganizationID: org, IDs: []string{e.ID}})
		require.NoError(t, err)
		require.Empty(t, page)
		withheld := alotwebhook.ClaimRequest{Limit: 1, Withheld: map[string]bool{org: true}}
		c := t.claimAs(withheld).Deliveries
		require.Len(t, c, 1, "%q is withheld, and %q is not", org, own)
		t.finish(release(c[0]))
	}
	for _, org := range others {
		other := t.endpoint(org, completed)
		events := t.emit(org, completed, 1)
		require.Equal(t, idsOf(events, other), deliveryIDs(t.list(alotwebhook.Filter{OrganizationID: org})))
		stored, err := t.store.Endpoint(t.ctx(), other.ID)
		require.NoError(t, err)
		require.Equal(t, org, stored.OrganizationID)
	}
}

// A host may have a catalogue of its own. One type that is taken for another reaches a
// receiver that does not know it.
func typesDiffer(t *trial) {
	e := t.endpoint("org_1", completed)
	for _, other := range lookalikes(completed) {
		if other == completed {
			continue
		}
		t.emit("org_1", other, 1)
		require.Empty(t, t.list(alotwebhook.Filter{}), "an event of type %q goes to an endpoint of %q", other, completed)
	}
	t.emit("org_1", completed, 1)
	for _, other := range lookalikes(completed) {
		if other == completed {
			continue
		}
		require.Empty(t, t.list(alotwebhook.Filter{EventType: other}), other)
		second := t.endpoint("org_2", other)
		events := t.emit("org_2", other, 1)
		require.Equal(t, idsOf(events, second), deliveryIDs(t.list(alotwebhook.Filter{OrganizationID: "org_2", EventType: other})), other)
	}
	require.Len(t, t.list(alotwebhook.Filter{EndpointID: e.ID}), 1)
}

// Ids come from outside, by the API. A method that takes another id for a stored one
// answers for a resource under two names, and a check of the name is void.
func idsDiffer(t *trial) {
	e := t.endpoint("org_1", completed)
	event := t.emit("org_1", completed, 1)[0]
	c := t.claimOne()
	t.finish(failed(c))
	for _, like := range []func(string) string{
		strings.ToUpper,
		func(id string) string { return id[:3] + strings.ToUpper(id[3:]) },
		func(id string) string { return id + " " },
		func(id string) string { return " " + id },
		func(id string) string { return id[:len(id)-1] },
		func(id string) string { return id + "0" },
	} {
		endpoint, delivery := like(e.ID), like(c.DeliveryID)
		_, err := t.store.Endpoint(t.ctx(), endpoint)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound, "%q", endpoint)
		require.ErrorIs(t, t.store.DeleteEndpoint(t.ctx(), endpoint), alotwebhook.ErrNotFound)
		require.ErrorIs(t, t.store.EnqueueTo(t.ctx(), endpoint, newEvent(t, "org_1", completed)), alotwebhook.ErrNotFound)
		_, err = t.store.Discard(t.ctx(), endpoint, time.Now(), 10)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		page, _, err := t.store.Endpoints(t.ctx(), alotwebhook.EndpointFilter{IDs: []string{endpoint}})
		require.NoError(t, err)
		require.Empty(t, page)
		require.Empty(t, t.recoveries(alotwebhook.RecoveryFilter{EndpointID: endpoint}))
		_, err = t.store.Event(t.ctx(), like(event.ID))
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		_, err = t.store.Delivery(t.ctx(), delivery)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound, "%q", delivery)
		require.Empty(t, t.list(alotwebhook.Filter{EndpointID: endpoint}))
		require.Empty(t, t.list(alotwebhook.Filter{EventID: like(event.ID)}))
		require.Zero(t, t.redeliver(delivery))
	}
	require.Equal(t, 1, t.redeliver(c.DeliveryID))
	c = t.claimOne()
	other := c
	other.DeliveryID = strings.ToUpper(c.DeliveryID)
	require.Equal(t, []string{other.DeliveryID}, t.lost(delivered(other)))
	t.finish(delivered(c))
}

// A store may keep an index over two texts that it has joined to one. It must not take one pair of
// texts for another that joins to the same.
func textsPutTogether(t *trial) {
	pairs := [][2]string{{"org", "1.completed"}, {"org1", ".completed"}, {"org1.", "completed"}, {"org\x1f1", "completed"}, {"org", "\x1f1completed"}}
	for i, to := range pairs {
		e := t.endpoint(to[0], to[1])
		t.emit(to[0], to[1], 1)
		require.Len(t, t.list(alotwebhook.Filter{EndpointID: e.ID}), 1, "pair %d", i)
	}
	require.Len(t, t.list(alotwebhook.Filter{}), len(pairs))
	require.Len(t, t.claim(100), len(pairs))
}

// ending returns a text of n bytes that ends with characters of several bytes.
func ending(n int) string {
	const end = "é日😀" // 2, 3 and 4 bytes
	return strings.Repeat("a", n-len(end)) + end
}

// A store that cuts a text off makes every signature wrong, or sends to another URL. Most
// databases do so without an error in one of their modes.
func longestTexts(t *trial) {
	types := []string{completed}
	for i := range 50 {
		types = append(types, fmt.Sprintf("%02d.%s", i, strings.Repeat("t", 125)))
	}
	e := newEndpoint(t, ending(255), types...)
	e.URL = "https://example.com/" + strings.Repeat("u", 2048-len("https://example.com/"))
	e.Secret, e.NextSecret = alotwebhook.Secret(ending(1024)), alotwebhook.Secret(strings.Repeat("日", 341)+"n")
	e.NextSecretAt = e.CreatedAt
	e.Description, e.Credentials = ending(256), alotwebhook.Secret(ending(64<<10))
	t.put(&e)
	stored, err := t.store.Endpoint(t.ctx(), e.ID)
	require.NoError(t, err)
	requireSameEndpoint(t, e, stored)
	e.Secret, e.NextSecret = e.NextSecret, e.Secret
	t.put(&e)

	event := newEvent(t, e.OrganizationID, types[50])
	near := newEvent(t, e.OrganizationID[:255-4]+"😁", types[50]) // another last character
	t.enqueue(event, near)
	c := t.claimOne()
	require.Equal(t, string(event.Payload()), string(c.Payload))
	require.Equal(t, types[50], c.EventType)
	requireSameEndpoint(t, e, *c.Endpoint)
	got, err := t.store.Event(t.ctx(), event.ID)
	require.NoError(t, err)
	require.Equal(t, []string{event.OrganizationID, event.Type}, []string{got.OrganizationID, got.Type})
	bad := failed(c)
	bad.Attempt.Detail = ending(256)
	t.finish(bad)
	d := t.delivery(c.DeliveryID)
	require.Equal(t, bad.Attempt.Detail, d.Attempts[0].Detail)
	require.Equal(t, []string{event.OrganizationID, event.Type}, []string{d.OrganizationID, d.EventType})
	require.Len(t, t.list(alotwebhook.Filter{OrganizationID: e.OrganizationID, EventType: types[50]}), 1)

	r := newRecovery(e)
	t.putRecovery(&r)
	require.Equal(t, e.OrganizationID, t.recoveries(alotwebhook.RecoveryFilter{EndpointID: e.ID})[0].OrganizationID)
}

// A dispatcher checks events before, but a store has limits of its own. A store that works
// through a batch in several statements must take back the first ones.
func enqueueRefusesAsAWhole(t *trial) {
	e := t.endpoint("org_1", completed)
	for name, spoil := range spoiled() {
		batch := newEvents(t, "org_1", completed, 1001)
		spoil(&batch[1000])
		if t.store.Enqueue(t.ctx(), batch) != nil {
			t.requireUnknown(batch[0], batch[499], batch[999])
			t.enqueue(batch[:1000]...)
		}
		require.Len(t, t.deliveriesOf(batch[:1000], e), 1000, name)
	}
}
