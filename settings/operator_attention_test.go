package settings_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// watched is a store whose processes, and whether it claims, the test decides on.
type watched struct {
	*memory.Store
	late      time.Duration // how much longer a delivery has been due than it has
	processes []alotwebhook.Process
	fails     atomic.Bool   // claims fail
	hangs     chan struct{} // claims wait until it is closed, whatever their context says; nil if they do not
}

func (s *watched) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	stats, err := s.Store.Stats(ctx)
	stats.OldestDue += s.late
	return stats, err
}

func (s *watched) Processes(context.Context) ([]alotwebhook.Process, error) { return s.processes, nil }

func (s *watched) Claim(ctx context.Context, r alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	if s.hangs != nil {
		<-s.hangs
	}
	if s.fails.Load() {
		return alotwebhook.ClaimResult{}, errors.New("no connection to db.internal")
	}
	return s.Store.Claim(ctx, r)
}

// runs has the dispatcher run until stop is called.
func (s *site) runs() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.dispatcher.Run(ctx) }()
	return func() { cancel(); require.NoError(s.t, <-done) }
}

// What is late is said with where to look, and that nobody delivers only if nobody does.
func TestTheOverviewSaysThatNobodyDelivers(t *testing.T) {
	t.Parallel()
	gone, there := alotwebhook.Process{ID: "web-1", Left: -time.Second}, alotwebhook.Process{ID: "web-2", Left: time.Second}
	for name, c := range map[string]struct {
		store *watched
		want  bool
	}{
		"none":          {&watched{late: 2 * time.Minute}, true},
		"gone":          {&watched{late: 2 * time.Minute, processes: []alotwebhook.Process{gone}}, true},
		"one is there":  {&watched{late: 2 * time.Minute, processes: []alotwebhook.Process{gone, there}}, false},
		"nothing waits": {&watched{}, false},
	} {
		c.store.Store = memory.New()
		s := newOperatorSiteOn(t, c.store)
		page := s.see("/").text
		require.Equal(t, c.want, strings.Contains(page, "<b>No process delivers.</b>"), name)
		require.Equal(t, c.store.late > 0, strings.Contains(page, `<a href="/deliveries?status=pending"><b>Deliveries are late</b></a>: one to a healthy endpoint has been due for 2 min 0 s.`), name)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newOperatorSiteOn(t, &watched{Store: memory.New(), late: 2 * time.Minute})
		defer s.runs()()
		synctest.Wait()
		require.NotContains(t, s.see("/").text, "No process delivers", "this one does")
	})
}

// One organization that most of the backlog belongs to is named, unless it is held back.
func TestTheOverviewNamesWhoseTheBacklogIs(t *testing.T) {
	t.Parallel()
	const says = `<b>Most of the backlog is <a class="org" href="/organizations/org_flood/">org_flood</a>&#39;s</b>`
	for name, c := range map[string]struct {
		flood, others int
		pause         *alotwebhook.Pause
		want          bool
	}{
		"most":                {1000, 900, nil, true},
		"no more than others": {1000, 1000, nil, false},
		"little":              {999, 0, nil, false},
		"it is paused":        {1000, 0, &alotwebhook.Pause{OrganizationID: "org_flood"}, false},
		"everything is":       {1000, 0, &alotwebhook.Pause{}, false},
		"another one is":      {1000, 0, &alotwebhook.Pause{OrganizationID: "org_other"}, true},
	} {
		s := newOperatorSite(t)
		s.endpointOf("org_flood", "https://flood.example.com/alot")
		s.endpointOf("org_other", "https://other.example.com/alot")
		for range c.flood {
			s.eventOf("org_flood")
		}
		for range c.others {
			s.eventOf("org_other")
		}
		if c.pause != nil {
			_, err := s.dispatcher.Pause(t.Context(), *c.pause)
			require.NoError(t, err)
		}
		page := s.see("/").text
		require.Equal(t, c.want, strings.Contains(page, says), name)
		require.Equal(t, c.want, strings.Contains(page, ": 1\u202f000 of "), name)
	}
}

// A recovery that nobody goes on with is said to be stuck after five minutes, of whatever kind it is.
func TestTheOverviewSaysWhichRecoveryIsStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newOperatorSite(t)
		e := s.endpoint("https://hooks.example.com/alot")
		many, err := s.dispatcher.RecoverMany(t.Context(), alotwebhook.Recovery{FailedSince: time.Now().Add(-time.Hour), Note: "ours"})
		require.NoError(t, err)
		time.Sleep(5 * time.Minute)
		require.NotContains(t, s.see("/").text, "stuck")
		require.NotContains(t, s.see("/recoveries/"+many.EndpointID).text, "gone on")
		time.Sleep(10 * time.Second)
		require.Contains(t, s.see("/").text, `<a href="/recoveries/`+many.EndpointID+`"><b>A recovery is stuck</b></a>: it has not gone on for 5 min 10 s`)
		require.Contains(t, s.see("/recoveries/"+many.EndpointID).text, "Has not gone on for 5 min 10 s")
		_, err = s.dispatcher.StopRecovery(t.Context(), many.EndpointID)
		require.NoError(t, err)
		require.NotContains(t, s.see("/recoveries/"+many.EndpointID).text, "gone on")
		_, err = s.dispatcher.Recover(t.Context(), e.ID, time.Time{})
		require.NoError(t, err)
		time.Sleep(6 * time.Minute)
		require.Contains(t, s.see("/").text, `<a href="/organizations/org_a/`+e.ID+`"><b>A recovery is stuck</b></a>: it has not gone on for 6 min 0 s`)
	})
}

// A pause of more than four hours is said to be long, and the oldest ones stand first.
func TestTheOverviewSaysWhatHasBeenPausedForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newOperatorSite(t)
		pause := func(organization string) {
			_, err := s.dispatcher.Pause(t.Context(), alotwebhook.Pause{OrganizationID: organization})
			require.NoError(t, err)
		}
		pause("org_z")
		time.Sleep(4 * time.Hour)
		for _, organization := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
			pause(organization)
		}
		page := s.see("/").text
		require.Contains(t, page, "org_z</a> is paused", "it is not among the others")
		require.NotContains(t, page, "It has lasted")
		time.Sleep(10 * time.Minute)
		page = s.see("/").text
		require.Contains(t, page, "<b>It has lasted for 4 h 10 min.</b>")
		require.Contains(t, page, "org_z</a> is paused")
		require.NotContains(t, page, "10 min.</b> <b>", "the others are not old")
	})
}

// What this process cannot do is said: its claims fail, or never return.
func TestTheOverviewSaysHowTheClaimerOfThisProcessDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &watched{Store: memory.New()}
		store.fails.Store(true)
		s := newOperatorSiteOn(t, store)
		stop := s.runs()
		synctest.Wait()
		page := s.see("/").text
		require.Contains(t, page, "<b>The newest claim of this process failed.</b>")
		require.NotContains(t, page, "db.internal")
		store.fails.Store(false)
		time.Sleep(time.Minute)
		require.Contains(t, s.see("/").text, "Nothing needs attention")
		stop()
	})
	synctest.Test(t, func(t *testing.T) {
		store := &watched{Store: memory.New(), hangs: make(chan struct{})}
		s := newOperatorSiteOn(t, store)
		stop := s.runs()
		time.Sleep(30 * time.Second)
		require.NotContains(t, s.see("/").text, "stuck")
		time.Sleep(40 * time.Second)
		require.Contains(t, s.see("/").text, "<b>The claimer of this process is stuck.</b> It has been in one step for 1 min 10 s")
		close(store.hangs)
		stop()
	})
}
