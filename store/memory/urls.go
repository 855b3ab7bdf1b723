package memory

import "github.com/alot/alotwebhook"

// keptURLs is how many of the URLs that an endpoint had before are kept: it may get others as often as
// somebody changes it.
const keptURLs = 100

// keepURL keeps the URL that next replaces.
func (e *storedEndpoint) keepURL(next *alotwebhook.Endpoint) {
	if e.Endpoint == nil || e.URLs == next.URLs {
		return
	}
	if e.former == nil {
		e.former = map[int]string{}
	}
	e.former[e.URLs] = e.URL
	delete(e.former, e.URLs-keptURLs)
}

// urlOf returns the URL that the endpoint of d had then.
func (s *Store) urlOf(d *storedDelivery, urls int) string {
	e := s.endpoints[d.endpoint.ID]
	switch {
	case d.endpoint.deleted || e == nil:
		return ""
	case urls == e.URLs:
		return e.URL
	}
	return e.former[urls]
}
