// Package holds says whose deliveries are held back.
package holds

import "maps"

// Set is what is held back: all, or organizations and endpoints. The zero value holds nothing.
type Set struct {
	// All holds everything back.
	All bool

	organizations, endpoints map[string]bool
}

// Add holds an endpoint back, or an organization if endpointID is "", or all if both are.
func (s *Set) Add(organizationID, endpointID string) {
	switch {
	case endpointID != "":
		put(&s.endpoints, endpointID)
	case organizationID != "":
		put(&s.organizations, organizationID)
	default:
		s.All = true
	}
}

func put(m *map[string]bool, id string) {
	if *m == nil {
		*m = make(map[string]bool)
	}
	(*m)[id] = true
}

// Apply withholds from a claim what is held back: each endpoint has all of its perEndpoint slots
// busy.
func (s *Set) Apply(busy map[string]int, withheld map[string]bool, perEndpoint int) {
	for id := range s.endpoints {
		busy[id] = perEndpoint
	}
	maps.Copy(withheld, s.organizations)
}

// Equal reports whether both hold the same back.
func (s *Set) Equal(other *Set) bool {
	return s.All == other.All && maps.Equal(s.organizations, other.organizations) && maps.Equal(s.endpoints, other.endpoints)
}
