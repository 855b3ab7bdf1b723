package sqlite

import "maps"

// Statements returns the statements that the writer of a closed store has prepared.
func (s *Store) Statements() []string {
	var list []string
	for query := range maps.Keys(s.prepared) {
		list = append(list, query)
	}
	return list
}
