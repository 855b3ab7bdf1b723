package postgres

import "time"

// ListenSilence shortens the silence after which a process checks that it still hears.
func (s *Store) ListenSilence(d time.Duration) { s.silence = d }

// MaxDefault sets the size in bytes from which a default partition is too large.
func (s *Store) MaxDefault(n int64) { s.maxDefault = n }

// SparseFrom sets the size in bytes from which an index may be sparse, and how long a rebuild
// waits for others.
func (s *Store) SparseFrom(n int64, patience time.Duration) {
	s.sparseFrom, s.rebuildPatience = n, patience
}

// Tables are those that New looks for.
var Tables = tables
