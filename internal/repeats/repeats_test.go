package repeats_test

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/repeats"
)

func hash(text string) repeats.Hash { return sha256.Sum256([]byte(text)) }

// use has a request with the key processed, and reports whether it was repeated.
func use(t *testing.T, m *repeats.Memory, organization, key string) (repeated bool) {
	t.Helper()
	r, done, err := m.Begin(organization, hash(key), repeats.Hash{})
	require.NoError(t, err)
	m.End(r, true)
	return done
}

func TestARequestIsRepeated(t *testing.T) {
	t.Parallel()
	var m repeats.Memory
	r, done, err := m.Begin("a", hash("k"), hash("request"))
	require.NoError(t, err)
	require.False(t, done)
	_, _, err = m.Begin("a", hash("k"), hash("request"))
	require.ErrorIs(t, err, repeats.ErrInProgress)
	_, _, err = m.Begin("a", hash("k"), hash("another"))
	require.ErrorIs(t, err, repeats.ErrReused)
	m.End(r, true)
	_, done, err = m.Begin("a", hash("k"), hash("request"))
	require.NoError(t, err)
	require.True(t, done)
	_, _, err = m.Begin("a", hash("k"), hash("another"))
	require.ErrorIs(t, err, repeats.ErrReused)
	_, done, err = m.Begin("b", hash("k"), hash("another"))
	require.NoError(t, err)
	require.False(t, done, "another organization's keys are its own")
}

func TestAFailedRequestNeedsNoMemory(t *testing.T) {
	t.Parallel()
	var m repeats.Memory
	for range 2 {
		r, done, err := m.Begin("a", hash("k"), hash("request"))
		require.NoError(t, err)
		require.False(t, done)
		m.End(r, false)
		require.Zero(t, m.Len())
	}
}

func TestWhoHasMostLosesFirst(t *testing.T) {
	t.Parallel()
	var m repeats.Memory
	use(t, &m, "small", "k")
	for org := range 30 {
		name := fmt.Sprint("large", org)
		for i := range repeats.MaxKeys + 5 {
			use(t, &m, name, fmt.Sprint(i))
		}
		require.LessOrEqual(t, m.Len(), min((org+1)*repeats.MaxKeys+1, repeats.MaxAll))
	}
	require.True(t, use(t, &m, "small", "k"))
	require.True(t, use(t, &m, "large29", fmt.Sprint(repeats.MaxKeys+4)), "the newest stay")
	require.False(t, use(t, &m, "large0", "0"), "the oldest go")
	for i := range 2 * repeats.MaxAll { // one key each
		use(t, &m, fmt.Sprint("tiny", i), "k")
	}
	require.Equal(t, repeats.MaxAll, m.Len())
}

func TestKeysAreForgottenAfterADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m repeats.Memory
		require.False(t, use(t, &m, "a", "k"))
		time.Sleep(repeats.MaxAge)
		require.True(t, use(t, &m, "a", "k"))
		time.Sleep(time.Second)
		require.False(t, use(t, &m, "a", "k"))
		require.Equal(t, 1, m.Len())
	})
}

func TestAForgottenRequestDoesNotEndAnother(t *testing.T) {
	t.Parallel()
	var m repeats.Memory
	slow, _, err := m.Begin("a", hash("k"), repeats.Hash{})
	require.NoError(t, err)
	for i := range repeats.MaxKeys {
		use(t, &m, "a", fmt.Sprint(i))
	}
	_, done, err := m.Begin("a", hash("k"), repeats.Hash{})
	require.NoError(t, err)
	require.False(t, done)
	m.End(slow, true)
	_, _, err = m.Begin("a", hash("k"), repeats.Hash{})
	require.ErrorIs(t, err, repeats.ErrInProgress)
}

func TestAtOnce(t *testing.T) {
	t.Parallel()
	var m repeats.Memory
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 500 {
				r, _, err := m.Begin(fmt.Sprint(i%3), hash(fmt.Sprint(n%200)), repeats.Hash{})
				if err == nil {
					m.End(r, n%2 == 0)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, m.Len(), 3*200)
}
