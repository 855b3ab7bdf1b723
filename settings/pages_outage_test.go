package settings_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/typeid"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

var (
	answered503 = alotwebhook.Attempt{StartedAt: time.Now(), StatusCode: 503, Reason: alotwebhook.ReasonStatus}
	answered200 = alotwebhook.Attempt{StatusCode: 200}
)

// born returns the time of the event of a delivery.
func (s *site) born(delivery string) time.Time {
	s.t.Helper()
	at, ok := typeid.Time("dlv", delivery)
	require.True(s.t, ok)
	return at
}

// stopped ends the endpoint's recovery.
func (s *site) stopped(e alotwebhook.Endpoint) {
	s.t.Helper()
	_, err := s.dispatcher.StopRecovery(s.t.Context(), e.ID)
	require.NoError(s.t, err)
}

// An endpoint that succeeds again is offered, with one button, what failed while it did not.
func TestAnEndpointThatSucceedsAgainIsOfferedARecovery(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	offers := func() bool { return strings.Contains(s.get("/"+e.ID).text, `id="offered"`) }
	s.event(e, `{}`)
	s.finish(alotwebhook.StateDelivered, answered200)
	require.False(t, offers(), "nothing failed")
	first := s.event(e, `{}`)
	s.event(e, `{}`)
	s.finish(alotwebhook.StateFailed, answered503)
	require.False(t, s.stored(e.ID).FailingSince.IsZero())
	require.False(t, offers(), "it is failing")
	s.post("/"+e.ID+"/disable", nil)
	s.post("/"+e.ID+"/enable", nil)
	require.True(t, s.stored(e.ID).FailingSince.IsZero())
	require.False(t, offers(), "nothing was sent since")
	s.event(e, `{}`)
	s.finish(alotwebhook.StateDelivered, answered200)
	page := s.get("/" + e.ID).text
	require.Contains(t, page, "This endpoint succeeds again. 2 deliveries failed before, of events from <time")
	require.Contains(t, page, "Send them again")
	require.NotContains(t, s.get("/"+e.ID, "HX-Target", "div#live").text, "offered")
	s.event(e, `{}`)
	s.finish(alotwebhook.StatePending, answered503)
	require.False(t, offers(), "it is failing again")
	s.event(e, `{}`)
	s.finish(alotwebhook.StateDelivered, answered200)
	require.True(t, offers())
	since := hidden(t, page)
	require.Equal(t, "since", since[0])

	s.let(rightSet{settings.ActionLook}.may)
	require.False(t, offers(), "to those who may not recover")
	s.let(nil)
	for _, bad := range []string{"yesterday", "", time.Now().AddDate(1, 0, 0).Format(time.RFC3339)} {
		require.Equal(t, http.StatusBadRequest, s.post("/"+e.ID+"/recover", []string{"since", bad}).status, bad)
	}
	require.Contains(t, s.post("/"+e.ID+"/recover", since).header.Get("Location"), "done=recovering")
	recovery, err := s.dispatcher.Recovery(t.Context(), e.ID)
	require.NoError(t, err)
	require.False(t, recovery.Since.After(s.born(first)), "the first of them is recovered, too")
	require.Equal(t, since[1], recovery.Since.Format("2006-01-02T15:04:05.000Z"))
	require.False(t, offers(), "a recovery began since they failed")
	s.event(e, `{}`)
	s.finish(alotwebhook.StateFailed, answered503)
	s.event(e, `{}`)
	s.finish(alotwebhook.StateDelivered, answered200)
	require.False(t, offers(), "a recovery runs")
	s.stopped(e)
	require.Contains(t, s.get("/"+e.ID).text, "1 delivery failed before")
	require.Contains(t, s.get("/"+e.ID).text, "Send it again")
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/disable", nil).status)
	require.False(t, offers(), "it is disabled")
}

// What somebody chose not to send is not offered.
func TestWhatWasChosenIsNotOffered(t *testing.T) {
	t.Parallel()
	for _, reason := range []alotwebhook.FailureReason{
		alotwebhook.ReasonDiscarded, alotwebhook.ReasonCanceled, alotwebhook.ReasonEndpointDeleted, alotwebhook.ReasonUnsendable,
	} {
		s := newSite(t)
		e := s.endpoint("https://hooks.example.com/alot")
		s.event(e, `{}`)
		s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{Reason: reason})
		s.event(e, `{}`)
		s.finish(alotwebhook.StateDelivered, answered200)
		require.NotContains(t, s.get("/"+e.ID).text, `id="offered"`, reason)
	}
}

// slowHistory is a store that takes a while to read deliveries, and counts how often it does.
type slowHistory struct {
	alotwebhook.Store
	wait  time.Duration
	reads atomic.Int32
}

func (s *slowHistory) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	s.reads.Add(1)
	time.Sleep(s.wait)
	return s.Store.Deliveries(ctx, f)
}

// The part of the page that updates itself reads nothing for what it does not show.
func TestTheLivePartSearchesForNoOutage(t *testing.T) {
	t.Parallel()
	store := &slowHistory{Store: memory.New()}
	s := newSiteOn(t, store, nil)
	e := s.endpoint("https://hooks.example.com/alot")
	s.get("/" + e.ID)
	whole := store.reads.Swap(0)
	s.get("/"+e.ID, "HX-Target", "div#live")
	require.Less(t, store.reads.Load(), whole)
}

// A search that takes long is cut short. What is offered then is to recover all of the last days.
func TestAnOutageThatTakesLongToRead(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, &slowHistory{Store: memory.New(), wait: 40 * time.Millisecond}, nil)
	e := s.endpoint("https://hooks.example.com/alot")
	for range 150 {
		s.event(e, `{}`)
	}
	for range 2 {
		s.finish(alotwebhook.StateFailed, answered503)
	}
	s.event(e, `{}`)
	s.finish(alotwebhook.StateDelivered, answered200)
	page := s.get("/" + e.ID).text
	require.Contains(t, page, "100 deliveries or more failed before")
	since, err := time.Parse(time.RFC3339, hidden(t, page)[1])
	require.NoError(t, err)
	require.True(t, since.Before(time.Now().AddDate(0, 0, -6)))
}

// However many failed, the page counts them or says that there are more, and recovers all.
func TestManyThatFailedAreOffered(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	first := s.event(e, `{}`)
	for range 149 {
		s.event(e, `{}`)
	}
	for range 2 {
		s.finish(alotwebhook.StateFailed, answered503)
	}
	s.event(e, `{}`)
	s.finish(alotwebhook.StateDelivered, answered200)
	page := s.get("/" + e.ID).text
	require.Regexp(t, `1[05]0 deliveries( or more)? failed before`, page)
	since, err := time.Parse(time.RFC3339, hidden(t, page)[1])
	require.NoError(t, err)
	require.False(t, since.After(s.born(first)))
}

// The form says how many deliveries each of its choices sends again.
func TestARecoverySaysBeforeHowMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		e := s.endpoint("https://hooks.example.com/alot")
		fail := func(n int) {
			for range n {
				s.event(e, `{}`)
			}
			s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{Reason: alotwebhook.ReasonTimeout})
		}
		fail(3)
		time.Sleep(48 * time.Hour)
		fail(2)
		time.Sleep(2 * time.Hour)
		fail(1)
		text := s.get("/" + e.ID).text
		for _, want := range []string{
			">Last hour: 1</option>", " selected>Last 24 hours: 3</option>",
			">Last 7 days: 6</option>", ">Whole history: 6</option>",
		} {
			require.Contains(t, text, want)
		}
	})
}
