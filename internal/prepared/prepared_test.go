package prepared_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/prepared"
)

func TestOnlyTheSameVersionIsFound(t *testing.T) {
	t.Parallel()
	var things prepared.Things[int]
	first, second := 1, 2
	created := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	v := prepared.Version{Number: 1, CreatedAt: created}
	require.Nil(t, things.Get("a", v))
	things.Put("a", v, &first)
	require.Same(t, &first, things.Get("a", v))
	require.Same(t, &first, things.Get("a", prepared.Version{Number: 1, CreatedAt: created.In(time.FixedZone("", 3600))}))
	require.Nil(t, things.Get("b", v))
	require.Nil(t, things.Get("a", prepared.Version{Number: 2, CreatedAt: created}))
	require.Nil(t, things.Get("a", prepared.Version{Number: 1, CreatedAt: created.Add(1)}), "registered again")
	things.Put("a", prepared.Version{Number: 2, CreatedAt: created}, &second)
	require.Nil(t, things.Get("a", v))
	require.Same(t, &second, things.Get("a", prepared.Version{Number: 2, CreatedAt: created}))
}

func TestTheNumberIsBounded(t *testing.T) {
	t.Parallel()
	var things prepared.Things[int]
	v, n := prepared.Version{Number: 1}, 0
	for i := range prepared.Most + 1 {
		things.Put(strconv.Itoa(i), v, &n)
	}
	require.Nil(t, things.Get("0", v), "all were forgotten")
	require.NotNil(t, things.Get(strconv.Itoa(prepared.Most), v))
}
