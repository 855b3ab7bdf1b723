package postgres

import "time"

// ListenSilence shortens the silence after which a process checks that it still hears.
func (s *Store) ListenSilence(d time.Duration) { s.silence = d }
