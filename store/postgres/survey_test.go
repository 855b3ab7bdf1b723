package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shippedCheapSurvey is what hosts have.
var shippedCheapSurvey = cheapSurvey

// Many tests expect a claim that would return nothing to survey the queue. On a
// machine under heavy load a survey takes longer than one that is cheap, and such a
// claim would go without. So in tests every survey of few endpoints is cheap.
func init() { cheapSurvey = time.Hour }

// AsShipped makes the store plan its surveys as hosts have it.
func (s *Store) AsShipped() {
	s.lanes.mu.Lock()
	defer s.lanes.mu.Unlock()
	s.lanes.survey.cheap = shippedCheapSurvey
}

// SurveyInterval is how long after the last survey the next one begins while the known
// endpoints give nothing; 0 if the next claim surveys.
func (s *Store) SurveyInterval() time.Duration {
	s.lanes.mu.Lock()
	defer s.lanes.mu.Unlock()
	return s.lanes.survey.interval(true)
}

// The plan follows what surveys cost, and a single one that was slow changes nothing.
func TestPlanOfSurveys(t *testing.T) {
	t.Parallel()
	const quick, slow = 3 * time.Millisecond, 2 * time.Second
	for name, c := range map[string]struct {
		met   int
		costs []time.Duration
		want  time.Duration
	}{
		"quick":                        {10, []time.Duration{quick, quick, quick}, 0},
		"the last one slow":            {10, []time.Duration{quick, quick, slow}, 0},
		"two slow":                     {10, []time.Duration{quick, slow, slow}, 0},
		"all slow":                     {10, []time.Duration{slow, slow, slow}, maxSurveyInterval},
		"quick again":                  {10, []time.Duration{slow, slow, slow, quick}, 0},
		"the first one slow":           {10, []time.Duration{slow}, 0},
		"the server's clock set back":  {10, []time.Duration{quick, quick, -time.Hour}, 0},
		"the server's clock set ahead": {10, []time.Duration{quick, quick, time.Hour}, 0},
		"many endpoints":               {fewEndpoints + 1, []time.Duration{quick, quick, quick}, surveyShare * quick},
		"many, the last one slow":      {fewEndpoints + 1, []time.Duration{quick, quick, slow}, surveyShare * quick},
		"many, all slow":               {fewEndpoints + 1, []time.Duration{slow, slow, slow}, maxSurveyInterval},
	} {
		ls := newLanes()
		ls.survey.cheap = shippedCheapSurvey
		ls.survey.needed = false
		for _, cost := range c.costs {
			ls.beginPage()
			ls.survey.pageSize = c.met + 1 // so that one page is all
			ls.endPage(make([]sighting, c.met), cost)
		}
		require.Equal(t, c.want, ls.survey.interval(true), name)
	}
}

// The surveys of all processes together cost no more than those of one.
func TestProcessesShareTheCostOfSurveys(t *testing.T) {
	t.Parallel()
	const price = 3 * time.Millisecond
	for own, want := range map[int]time.Duration{
		slotCount: surveyShare * price, slotCount / 4: 4 * surveyShare * price, 0: slotCount * surveyShare * price,
	} {
		ls := newLanes()
		slots := make([]slot, slotCount)
		for i := range slots {
			slots[i].number = int32(i)
			if i < own {
				slots[i].owner = 7
			}
		}
		ls.own(slots, 7)
		ls.survey.costs = []time.Duration{price, price, price}
		require.Equal(t, want, ls.survey.interval(false), own)
		const years = 100_000 * time.Hour
		ls.survey.costs = []time.Duration{years, years, years}
		require.InDelta(t, maxSurveyInterval, ls.survey.interval(false), float64(time.Millisecond), own)
	}
}

// A survey, and a look after the slots, for which the time has come lets one claim go first
// that has something to return, and no second one.
func TestLooksLetOneClaimGoFirst(t *testing.T) {
	t.Parallel()
	ls := newLanes()
	ls.survey.needed = false
	ls.survey.began = time.Now().Add(-time.Hour)
	ls.mine[1] = true
	require.True(t, ls.surveyOverdue(), "no claim has anything to return")
	ls.due([]lane{{key: 1}}, false)
	require.False(t, ls.surveyOverdue())
	require.True(t, ls.surveyOverdue())
	ls.beginPage()
	ls.endPage(nil, 0)
	ls.survey.began = time.Now().Add(-time.Hour)
	require.False(t, ls.surveyPays(false))
	require.True(t, ls.surveyPays(false))
	require.True(t, ls.surveyPays(true))

	now := time.Now()
	o := ownership{until: now.Add(time.Hour), next: now.Add(-time.Second)}
	o.id.Store(1)
	require.False(t, o.due(time.Minute, true))
	require.True(t, o.due(time.Minute, true))
	o.waited = false
	require.True(t, o.due(time.Minute, false), "no claim has anything to return")
	require.True(t, o.due(2*time.Hour, true), "the lease ends too soon")
	o.toldNow = 1
	require.True(t, o.due(time.Minute, true), "somebody has changed the slots")
}
