package anydriver

import "maps"

// Writing reports whether the writer is at work, if only waiting for the lock.
func (s *Store) Writing() bool { return s.writes.Stats().InUse > 0 }

// Waiting returns how many calls wait for the writer.
func (s *Store) Waiting() int { return len(s.jobs) }

// Statements returns the statements that the writer of a closed store has prepared.
func (s *Store) Statements() []string {
	var list []string
	for query := range maps.Keys(s.prepared) {
		list = append(list, query)
	}
	return list
}

// ResultCode is resultCode.
var ResultCode = resultCode

// ExtendedResultCode is extendedResultCode.
var ExtendedResultCode = extendedResultCode
