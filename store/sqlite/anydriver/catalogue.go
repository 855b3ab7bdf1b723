package anydriver

import (
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/alot/alotwebhook"
)

// catalogue is a copy in memory of the endpoints and event types that enqueue, claim
// and finish need. Every process that changes an endpoint counts up the number in
// the table alotwebhook_changes. A catalogue holds as long as that number is its
// own, so a transaction reads one number instead of the endpoints.
type catalogue struct {
	changes     int64                           // the number; 0 for a catalogue that never holds
	endpoints   map[int64]*alotwebhook.Endpoint // by ref; never changed, since claims share them
	subscribers map[topic][]subscriber
	types       map[string]int64        // the refs of event types, by name
	typeNames   map[int64]string        // the names of event types, by ref
	failing     map[int64]sql.NullInt64 // failing_since by ref; emptied when another process has written
}

// topic is a question to the subscriptions: which endpoints of the organization
// are to get events of this type?
type topic struct{ organization, eventType string }

// subscriber is an endpoint with a subscription.
type subscriber struct {
	ref int64
	id  string
}

// maxCached is how many entries a cache holds before it is emptied.
const maxCached = 20_000

func newCatalogue(changes int64) *catalogue {
	return &catalogue{
		changes:     changes,
		endpoints:   map[int64]*alotwebhook.Endpoint{},
		subscribers: map[topic][]subscriber{},
		types:       map[string]int64{},
		typeNames:   map[int64]string{},
		failing:     map[int64]sql.NullInt64{},
	}
}

// known returns the catalogue that holds in this transaction. The writer's
// transactions share one, and so do claims. Each transaction of a host begins with
// an empty one.
func (t *txn) known() (*catalogue, error) {
	if t.catalogue != nil {
		return t.catalogue, nil
	}
	alone, err := t.alone()
	if err != nil {
		return nil, err
	}
	if alone {
		t.catalogue = t.in.catalogue
		return t.catalogue, nil
	}
	var changes int64
	if err := t.one("SELECT endpoints FROM alotwebhook_changes")(&changes); err != nil {
		return nil, err
	}
	t.know(changes)
	return t.catalogue, nil
}

// know chooses the catalogue for a transaction that has read that number of changes.
func (t *txn) know(changes int64) {
	if t.in == nil || t.in.catalogue.changes != changes {
		t.catalogue = newCatalogue(changes)
	} else {
		t.catalogue = t.in.catalogue
		clear(t.catalogue.failing)
	}
	if t.in != nil {
		t.in.catalogue = t.catalogue
	}
}

// alone reports whether nobody but this store has written since its previous
// transaction: then the whole catalogue holds, failing included. SQLite's
// data_version says so of one connection. On a host's handle the connection may be
// another one each time, so the answer is no.
func (t *txn) alone() (bool, error) {
	if t.s == nil || !t.s.owned {
		return false, nil
	}
	var version int64
	if err := t.one("PRAGMA data_version")(&version); err != nil {
		return false, err
	}
	alone := t.in.catalogue.changes != 0 && t.in.dataVersion == version
	t.in.dataVersion = version
	return alone, nil
}

// failingSince returns an endpoint's failing_since; NULL also if its row is gone.
func (t *txn) failingSince(ref int64) (since sql.NullInt64, err error) {
	c, err := t.known()
	if err != nil {
		return since, err
	}
	since, ok := c.failing[ref]
	if ok {
		return since, nil
	}
	if _, err = found(t.one("SELECT failing_since FROM alotwebhook_endpoints WHERE ref = ?", ref)(&since)); err == nil {
		put(c.failing, ref, since)
	}
	return since, err
}

// subscribers returns the endpoints that are to get events of the topic.
func (t *txn) subscribers(of topic) ([]subscriber, error) {
	c, err := t.known()
	if err != nil {
		return nil, err
	}
	list, ok := c.subscribers[of]
	if ok {
		return list, nil
	}
	if list, err = t.subscribersOf(of); err != nil {
		return nil, err
	}
	put(c.subscribers, of, list)
	return list, nil
}

func (t *txn) subscribersOf(of topic) (list []subscriber, err error) {
	names, err := json.Marshal(alotwebhook.Subscriptions(of.eventType))
	if err != nil {
		return nil, err
	}
	err = t.each(`SELECT ref, id FROM alotwebhook_endpoints WHERE ref IN (SELECT endpoint FROM alotwebhook_subscriptions
		WHERE organization = ? AND type IN (SELECT value FROM json_each(?)))`, []any{of.organization, string(names)}, func(scan func(...any) error) error {
		var s subscriber
		err := scan(&s.ref, &s.id)
		list = append(list, s)
		return err
	})
	return list, err
}

// put adds an entry to a map that is a cache, and empties the map first if it is full.
func put[K comparable, V any](m map[K]V, k K, v V) {
	if len(m) >= maxCached {
		clear(m)
	}
	m[k] = v
}

// typeRef returns the ref of an event type, and stores the type if it is new.
func (t *txn) typeRef(name string) (int64, error) {
	c, err := t.known()
	if err != nil {
		return 0, err
	}
	if ref, ok := c.types[name]; ok {
		return ref, nil
	}
	var ref int64
	err = t.one("SELECT ref FROM alotwebhook_types WHERE name = ?", name)(&ref)
	if errors.Is(err, sql.ErrNoRows) {
		err = t.one("INSERT INTO alotwebhook_types (name) VALUES (?) RETURNING ref", name)(&ref)
	}
	if err == nil {
		put(c.types, name, ref)
	}
	return ref, err
}

// typeName returns the name of an event type by its ref.
func (t *txn) typeName(ref int64) (string, error) {
	c, err := t.known()
	if err != nil {
		return "", err
	}
	name, ok := c.typeNames[ref]
	if ok {
		return name, nil
	}
	if err = t.one("SELECT name FROM alotwebhook_types WHERE ref = ?", ref)(&name); err == nil {
		put(c.typeNames, ref, name)
	}
	return name, err
}

// endpoint returns an endpoint by its ref, nil if it was deleted just now. failing is its failing_since in this
// transaction, which changes without counting up the number of changes.
func (t *txn) endpoint(ref int64, failing sql.NullInt64) (*alotwebhook.Endpoint, error) {
	c, err := t.known()
	if err != nil {
		return nil, err
	}
	put(c.failing, ref, failing)
	e := c.endpoints[ref]
	since := optional(failing)
	if e != nil && e.FailingSince.Equal(since) {
		return e, nil
	}
	if e == nil {
		read, err := scanEndpoint(t.one("SELECT "+endpointColumns+" FROM alotwebhook_endpoints WHERE ref = ? AND deleted_at IS NULL", ref))
		if some, err := found(err); err != nil || !some {
			return nil, err
		}
		e = &read
	} else {
		changed := *e // earlier claims share the old one
		e = &changed
	}
	e.FailingSince = since
	put(c.endpoints, ref, e)
	return e, nil
}

// forget drops the catalogue, of this transaction and of the store, after an endpoint
// was changed.
func (t *txn) forget() {
	t.catalogue = nil
	if t.in != nil {
		t.in.catalogue = newCatalogue(0)
	}
}
