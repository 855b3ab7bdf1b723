package paging_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/paging"
)

func TestAll(t *testing.T) {
	t.Parallel()
	broken := errors.New("alotwebhook: broken")
	read := 0
	pages := func(cursor string) ([]int, string, error) {
		read++
		switch cursor {
		case "":
			return []int{1, 2}, "a", nil
		case "a":
			return nil, "b", nil // an empty page that others follow
		case "b":
			return []int{3}, "", nil
		}
		return nil, "", broken
	}
	var got []int
	for range 2 { // it can be read twice
		got = nil
		for n, err := range paging.All("", pages) {
			require.NoError(t, err)
			got = append(got, n)
		}
		require.Equal(t, []int{1, 2, 3}, got)
	}
	read = 0
	for range paging.All("", pages) {
		break
	}
	require.Equal(t, 1, read, "nothing is read ahead")
	errs := 0
	for n, err := range paging.All("c", pages) {
		require.ErrorIs(t, err, broken)
		require.EqualError(t, err, "alotwebhook: list not read: broken")
		require.Zero(t, n)
		errs++
	}
	require.Equal(t, 1, errs)
}
