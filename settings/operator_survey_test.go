package settings_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// surveyed is a store that counts how often it is surveyed, and may take its time.
type surveyed struct {
	*memory.Store
	reads, atOnce, most atomic.Int64
	takes               atomic.Int64 // nanoseconds
	fails, panics       atomic.Bool
}

func (s *surveyed) Stats(context.Context) (alotwebhook.Stats, error) {
	s.most.Store(max(s.most.Load(), s.atOnce.Add(1)))
	defer s.atOnce.Add(-1)
	n := s.reads.Add(1)
	time.Sleep(time.Duration(s.takes.Load()))
	if s.panics.Load() {
		panic("db.internal")
	}
	if s.fails.Load() {
		return alotwebhook.Stats{}, errors.New("no connection to db.internal")
	}
	return alotwebhook.Stats{Pending: 1000 + n}, nil
}

// However many look, the database is asked every five seconds, by one at a time.
func TestManyShareASurvey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &surveyed{Store: memory.New()}
		store.takes.Store(int64(2 * time.Second))
		s := newOperatorSiteOn(t, store)
		var all sync.WaitGroup
		for range 20 { // the first ones wait for it
			all.Go(func() { require.Contains(t, s.see("/").text, "1\u202f001") })
		}
		all.Wait()
		require.EqualValues(t, 1, store.reads.Load())
		began := time.Now()
		for time.Since(began) < time.Minute {
			at := time.Now()
			page := s.see("/")
			require.Equal(t, http.StatusOK, page.status)
			require.LessOrEqual(t, time.Since(at), 50*time.Millisecond, "nobody waits while there is one to show")
			time.Sleep(200 * time.Millisecond)
		}
		require.EqualValues(t, 1, store.most.Load())
		require.LessOrEqual(t, store.reads.Load(), int64(1+60/7+1), "two seconds of reading, five of rest")
		require.GreaterOrEqual(t, store.reads.Load(), int64(8))
		require.Regexp(t, `Counted \d\.0 s ago`, s.see("/").text)
	})
}

// A survey that nobody has looked at for long is not shown.
func TestAnOldSurveyIsNotShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &surveyed{Store: memory.New()}
		s := newOperatorSiteOn(t, store)
		require.Contains(t, s.see("/").text, "1\u202f001")
		require.Contains(t, s.see("/").text, "1\u202f001", "it is shared")
		store.takes.Store(int64(2 * time.Second))
		time.Sleep(time.Hour)
		require.Contains(t, s.see("/").text, "1\u202f002")
	})
}

// A store that fails is not asked more often for that, and what was read before is not passed off
// as the present.
func TestASurveyThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &surveyed{Store: memory.New()}
		s := newOperatorSiteOn(t, store)
		require.Equal(t, http.StatusOK, s.see("/").status)
		for _, bad := range []*atomic.Bool{&store.fails, &store.panics} {
			time.Sleep(6 * time.Second)
			bad.Store(true)
			before := store.reads.Load()
			for range 5 {
				got := s.see("/")
				require.Equal(t, http.StatusInternalServerError, got.status)
				require.NotContains(t, got.text, "db.internal")
			}
			require.EqualValues(t, before+1, store.reads.Load())
			bad.Store(false)
			time.Sleep(6 * time.Second)
			require.Equal(t, http.StatusOK, s.see("/").status, "it recovers")
		}
	})
}

// A visitor who leaves does not end the survey for the others.
func TestASurveyOutlivesWhoAskedFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &surveyed{Store: memory.New()}
		store.takes.Store(int64(2 * time.Second))
		s := newOperatorSiteOn(t, store)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
			s.do(r, "X-Operator", "ann")
		}()
		synctest.Wait()
		leave()
		<-left
		require.Contains(t, s.see("/").text, "1\u202f001")
	})
}
