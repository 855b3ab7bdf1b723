package storetest

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var urlRules = []rule{
	{"First", "Delivery fills in the URL of each attempt: that of an endpoint that has had no other.", urlOfAttempts},
	{"Changed", "An attempt keeps the URL of its Outcome.URLs, whatever the endpoint's is now.", urlChanged},
	{"Meanwhile", "An attempt that was under way when the URL changed has the one that it was claimed with.", urlChangedMeanwhile},
	{"Many", "Of the URLs that an endpoint had before, the newest 100 are kept, and no others.", urlsAreBounded},
	{"Deleted", "Once the endpoint is deleted, or its organization removed, no URL of it can be read.", urlsOfDeleted},
	{"Erased", "Erase leaves URLs alone.", urlsStay},
}

// move gives the endpoint another URL, as a dispatcher does.
func (t *trial) move(e *alotwebhook.Endpoint, path string) {
	t.Helper()
	e.URL = "https://example.com/" + path
	e.URLs++
	t.put(e)
}

// at returns an outcome of the endpoint as it was claimed.
func at(c alotwebhook.Claimed, o alotwebhook.Outcome) alotwebhook.Outcome {
	o.URLs = c.Endpoint.URLs
	return o
}

// wentTo returns the URLs of a delivery's attempts.
func (t *trial) wentTo(id string) (urls []string) {
	t.Helper()
	for _, a := range t.delivery(id).Attempts {
		urls = append(urls, a.URL)
	}
	return urls
}

func urlOfAttempts(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	test := t.sendTest(e)
	for range 2 {
		for _, c := range t.claim(10) {
			t.finish(at(c, retry(c, 0)))
		}
	}
	for _, c := range t.claim(10) {
		o := at(c, delivered(c))
		o.Attempt.URL = "https://example.org/not-what-is-stored"
		t.finish(o)
		require.Equal(t, []string{e.URL, e.URL, e.URL}, t.wentTo(c.DeliveryID))
	}
	require.Len(t, t.wentTo(alotwebhook.DeliveryID(test.ID, e.ID)), 3)
	for _, d := range t.list(alotwebhook.Filter{}) {
		require.Empty(t, d.Attempts)
	}
}

// Below a corrected URL, an attempt to the wrong one would tell of a fault that is not there.
func urlChanged(t *trial) {
	e, other := t.endpoint("org_1", completed), t.endpoint("org_2", completed)
	t.move(&other, "other")
	t.emit("org_1", completed, 1)
	want := []string{e.URL}
	c := t.claimOne()
	t.finish(at(c, retry(c, 0)))
	for i := range 3 {
		t.move(&e, fmt.Sprint("new/", i))
		e.Description = fmt.Sprint("changed ", i)
		t.put(&e) // which is no change of the URL
		c = t.claimOne()
		want = append(want, e.URL)
		t.finish(at(c, retry(c, 0)))
	}
	t.move(&e, "new/1") // one that it had before
	c = t.claimOne()
	want = append(want, e.URL)
	t.finish(at(c, delivered(c)))
	require.Equal(t, want, t.wentTo(c.DeliveryID))
	t.move(&e, "last")
	require.Equal(t, want, t.wentTo(c.DeliveryID))
	require.Equal(t, 1, t.redeliver(c.DeliveryID))
	require.Equal(t, want, t.wentTo(c.DeliveryID))
	c = t.claimOne()
	t.finish(at(c, failed(c)))
	require.Equal(t, append(want, e.URL), t.wentTo(c.DeliveryID))
}

func urlChangedMeanwhile(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	before := e.URL
	c := t.claimOne()
	t.move(&e, "new")
	t.finish(at(c, failed(c)))
	require.Equal(t, []string{before}, t.wentTo(c.DeliveryID))
}

// A URL may hold a token of its owner.
func urlsOfDeleted(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	t.finish(at(c, retry(c, 0)))
	t.move(&e, "new")
	c = t.claimOne()
	t.finish(at(c, delivered(c)))
	require.Len(t, t.wentTo(c.DeliveryID), 2)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	require.Equal(t, []string{"", ""}, t.wentTo(c.DeliveryID))
	again := e
	again.Version, again.URLs = 0, 0
	t.put(&again)
	require.Equal(t, []string{"", ""}, t.wentTo(c.DeliveryID), "that is another endpoint")
}

func urlsStay(t *trial) {
	e := t.endpoint("org_1", completed)
	event := newPersonal(t, "org_1")
	t.enqueue(event)
	c := t.claimOne()
	t.finish(at(c, telling(retry(c, 0))))
	want := []string{e.URL}
	t.move(&e, "new")
	c = t.claimOne()
	t.finish(at(c, telling(failed(c))))
	want = append(want, e.URL)
	require.Equal(t, 1, t.erase(alotwebhook.Recovery{EventID: event.ID}))
	require.Equal(t, want, t.wentTo(c.DeliveryID))
}

func urlsAreBounded(t *trial) {
	e := t.endpoint("org_1", completed)
	var ids []string
	for i := range 102 {
		if i < 2 {
			t.emit("org_1", completed, 1)
			for _, c := range t.claim(1) {
				ids = append(ids, c.DeliveryID)
				t.finish(at(c, delivered(c)))
			}
		}
		if i < 101 {
			t.move(&e, fmt.Sprint(i))
		}
	}
	require.Equal(t, [][]string{{""}, {"https://example.com/0"}}, [][]string{t.wentTo(ids[0]), t.wentTo(ids[1])})
}
