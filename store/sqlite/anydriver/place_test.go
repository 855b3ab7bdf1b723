package anydriver_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/sqlite"
	"github.com/alot/alotwebhook/store/sqlite/anydriver"
)

// Whoever has two files mixes them up some day. Two stores on one file are none of that, by whatever name.
func TestPlaceTellsFilesApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func(name string) *sqlite.Store {
		s, err := sqlite.Open(t.Context(), filepath.Join(dir, name))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	}
	inMemory := func() *anydriver.Store {
		s, err := sqlite.New(t.Context(), handleOn(t, ":memory:"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	}
	a := open("a.db")
	require.NoError(t, os.Symlink(filepath.Join(dir, "a.db"), filepath.Join(dir, "link.db")))
	require.Equal(t, a.Place(), open("link.db").Place())
	db := handleOn(t, filepath.Join(dir, "a.db"))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })

	for _, other := range []alotwebhook.Store{open("b.db"), inMemory(), memory.New()} {
		d, err := alotwebhook.NewDispatcher(other, nil)
		require.NoError(t, err)
		err = d.EmitTo(t.Context(), a.Tx(tx), newEvent(t, "org_1"))
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
		require.ErrorContains(t, err, "is a transaction of the store in the SQLite file ")
	}
	require.NotEqual(t, inMemory().Place(), inMemory().Place())
	require.Empty(t, (*anydriver.Store)(nil).Place())
}
