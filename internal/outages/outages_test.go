package outages_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/outages"
)

// began returns when the outage began that a success ends.
func began(o *outages.Outages, endpointID string, claimed time.Time) time.Time {
	since := map[string]time.Time{}
	o.Succeeded(endpointID, claimed, since)
	return since[endpointID]
}

func TestOutages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o outages.Outages
		first := time.Now().UTC()
		before := first.Add(-outages.ClockSkew)
		require.Zero(t, began(&o, "wh_1", time.Time{}))
		require.Equal(t, before, began(&o, "wh_1", first), "as the claim says")
		o.Failed("wh_1", first.Add(time.Second))
		o.Failed("wh_1", first.Add(999)) // is stored later
		o.Failed("wh_1", first.Add(time.Minute))
		require.Zero(t, began(&o, "wh_2", time.Time{}))
		require.Equal(t, before, began(&o, "wh_1", time.Time{}), "of the first failure, to the microsecond")
		require.Zero(t, began(&o, "wh_1", time.Time{}), "it is over")

		o.Failed("wh_1", first)
		since := map[string]time.Time{}
		o.Succeeded("wh_1", first.Add(time.Hour), since)
		o.Succeeded("wh_1", first.Add(time.Minute), since)
		require.Equal(t, map[string]time.Time{"wh_1": before}, since, "the earliest of a batch")
		o.Succeeded("wh_1", first.Add(-time.Hour), since)
		require.Equal(t, before.Add(-time.Hour), since["wh_1"])
	})
}

func TestAMissedOutageEndsOnceMore(t *testing.T) {
	t.Parallel()
	var o outages.Outages
	since := time.Now().UTC().Truncate(time.Microsecond)
	o.Missed("wh_1", since, true)
	require.Zero(t, began(&o, "wh_1", time.Time{}))
	o.Missed("wh_1", since, false)
	require.Equal(t, since, began(&o, "wh_1", time.Time{}))
}

// Another process may have seen its end.
func TestOldOutagesAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o outages.Outages
		o.Failed("wh_1", time.Now())
		time.Sleep(25 * time.Hour)
		require.Zero(t, began(&o, "wh_1", time.Time{}))
		o.Failed("wh_1", time.Now())
		time.Sleep(25 * time.Hour)
		again := time.Now().UTC()
		o.Failed("wh_1", again)
		require.Equal(t, again.Add(-outages.ClockSkew), began(&o, "wh_1", time.Time{}))
		for i := range 25_000 {
			o.Failed(fmt.Sprint("wh_", i), again)
		}
		require.Zero(t, began(&o, "wh_0", time.Time{}), "there is room for so many")
		require.NotZero(t, began(&o, "wh_24999", time.Time{}))
	})
}
