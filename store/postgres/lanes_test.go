package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// What is emitted while a claim reads is not forgotten when the claim ends: the next one finds it
// without a survey, which may be far off where many endpoints have work. The claim under way
// passes over it.
func TestEmittedBesideAClaim(t *testing.T) {
	t.Parallel()
	for _, ordered := range []bool{false, true} {
		ls, request := newLanes(), alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 4}
		ls.own([]slot{{number: 1, owner: 1}}, 1)
		emit := func() { ls.due([]lane{{key: 1, id: "wh_1"}}, false) }
		pick := func(late int) []pick { return ls.pick(request, 10, map[int64]int{}, late, nil) }
		emit()
		ls.byKey[1].ordered = ordered
		claim := pick(0)
		require.Len(t, claim, 1)
		emit()
		ls.settle(claim[0], 0, place{}, time.Now())
		require.Empty(t, pick(ls.close()))
		claim = pick(0)
		require.Len(t, claim, 1)
		ls.settle(claim[0], 0, place{}, time.Now())
		require.Empty(t, pick(0), "nothing was emitted since")
	}
}
