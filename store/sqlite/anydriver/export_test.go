package anydriver

import "maps"

// Statements returns what a closed store's writer has prepared.
func (s *Store) Statements() []string {
	var list []string
	for query := range maps.Keys(s.prepared) {
		list = append(list, query)
	}
	return list
}

// ResultCode is resultCode.
var ResultCode = resultCode
