package anydriver

import (
	"maps"
	"slices"
)

// Writing reports whether the writer is at work, if only waiting for the lock.
func (s *Store) Writing() bool { return s.writing.db.Stats().InUse > 0 }

// Waiting returns how many calls wait for the writer.
func (s *Store) Waiting() int { return len(s.jobs) }

// LookAtFewEvents has each call of Remove look at so many stretches of 5,000 events.
func (s *Store) LookAtFewEvents(stretches int) { s.stretches = stretches }

// Statements returns the statements that the writer and the claims of a closed store have prepared.
func (s *Store) Statements() []string {
	var list []string
	for _, in := range []*session{s.writing, s.claims} {
		list = slices.AppendSeq(list, maps.Keys(in.prepared))
	}
	return list
}

// ResultCode is resultCode.
var ResultCode = resultCode

// ExtendedResultCode is extendedResultCode.
var ExtendedResultCode = extendedResultCode
