package postgres

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/alot/alotwebhook"
)

// emission holds the events that one call of Enqueue stores.
type emission struct {
	events []fresh // in the order of their ids, each id once
	found  []lane  // the endpoints that have deliveries due, as far as store has come
	known  *audienceCache
	// isNew is set if the only event was not stored before, content is that event's, and
	// remember is set if it is in recent.
	isNew, remember bool
	content         content
}

// fresh is an event that is about to be stored.
type fresh struct {
	*alotwebhook.Event
	id   uuid
	rank int // its place in the call
}

// One round trip takes at most chunkEvents events, and ends with the event whose payload
// brings it over chunkBytes bytes. It takes at most chunkDeliveries deliveries.
const (
	chunkEvents     = 5000
	chunkBytes      = 8 << 20
	chunkDeliveries = 20_000
)

// newEmission orders the events by their ids, so that two calls that store the same events
// at the same time wait for each other and do not deadlock.
func newEmission(events []alotwebhook.Event, known *audienceCache) (*emission, error) {
	m := &emission{events: make([]fresh, len(events)), known: known}
	for i := range events {
		id, ok := decodeID(eventPrefix, events[i].ID)
		if !ok {
			return nil, badEventID(events[i].ID)
		}
		m.events[i] = fresh{&events[i], id, i}
	}
	slices.SortStableFunc(m.events, func(a, b fresh) int { return cmp.Compare(a.ID, b.ID) })
	// Of two events with one id the first counts.
	m.events = slices.CompactFunc(m.events, func(a, b fresh) bool { return a.id == b.id })
	return m, nil
}

// badEventID refuses an event whose id no column can hold. A dispatcher has checked
// the ids of its events, so only a direct caller of the store meets it.
func badEventID(id string) error {
	return &alotwebhook.FieldError{Field: "id", Problem: fmt.Sprintf("%.64q is not %s and %d characters of base32; make events with NewEvent", id, eventPrefix, suffixLen)}
}

// store stores several events and their deliveries by queries that send executes, but for
// those that stream does. It fails with unique_violation if somebody else stores one of them at
// the same time. It may be called again after an error.
func (m *emission) store(send sender, stream func(c *chunk, last bool) error) error {
	return m.storeBy(send, func(c *chunk, last bool) error {
		if err := send(false, c.find(), c.findStored()); err != nil {
			return err
		}
		return stream(c, last)
	})
}

// storeAmongOthers stores one event or several, and does not fail then.
func (m *emission) storeAmongOthers(send sender) error {
	return m.storeBy(send, func(c *chunk, last bool) error {
		if err := send(false, c.find(), c.insert()); err != nil {
			return err
		}
		return c.deliver(last, send)
	})
}

// storeBy stores one event, or chunk by chunk by chunkwise.
func (m *emission) storeBy(send sender, chunkwise func(c *chunk, last bool) error) error {
	m.found, m.isNew = m.found[:0], false
	if len(m.events) == 1 {
		return m.storeOne(send)
	}
	for left := m.events; len(left) > 0; {
		c := newChunk(left)
		left = left[len(c.events):]
		if err := chunkwise(c, len(left) == 0); err != nil {
			return err
		}
		m.found = append(m.found, c.found...)
	}
	return nil
}

// storeOne stores the only event: with the endpoints that this process knows or, if there are
// others, without.
func (m *emission) storeOne(send sender) error {
	e := m.events[0]
	of := audience{e.OrganizationID, e.Type}
	m.content = content{e.Payload(), e.TraceParent}
	args := []any{param(e.id), e.Type, e.OrganizationID, string(m.content.payload), textOrNull(e.TraceParent), textOrNull(e.Subject)}
	names := alotwebhook.Subscriptions(e.Type)
	if endpoints, ok := m.known.get(of); ok {
		deliveries := make([]pgtype.UUID, len(endpoints))
		for i, id := range endpoints {
			deliveries[i] = param(deliveryID(e, id))
		}
		var f fanned
		if err := send(true, query{sql: enqueueKnown, args: append(args, endpoints, deliveries, names), rows: f.read}); err != nil {
			return err
		}
		if !f.unknown {
			m.found, m.isNew = f.found, f.isNew
			return nil
		}
	}
	var f fanned
	if err := send(true, query{sql: enqueueOne, args: append(args[:6:6], e.ID, names), rows: f.read}); err != nil {
		return err
	}
	m.found, m.isNew = f.found, f.isNew
	m.known.put(of, f.endpoints)
	return nil
}

// fanned is the result of enqueueKnown and enqueueOne.
type fanned struct {
	endpoints []string // their ids
	unknown   bool     // one of them is unknown to the process
	isNew     bool     // the event was not stored before
	found     []lane   // those that are not disabled
}

func (f *fanned) read(rows resultRows) error {
	for rows.Next() {
		var p subscriber
		var disabled, unknown bool
		var now int64
		if err := rows.Scan(&p.key, &p.id, &disabled, &unknown, &f.isNew, &now); err != nil {
			return err
		}
		f.endpoints = append(f.endpoints, p.id)
		f.unknown = f.unknown || unknown
		if !disabled {
			f.found = append(f.found, p.dueAt(now))
		}
	}
	return rows.Err()
}

// dueAt returns the lane of the endpoint, with a start for a delivery that is due now, in µs
// since 1970.
func (p subscriber) dueAt(now int64) lane {
	return lane{key: p.key, id: p.id, start: place{at: time.UnixMicro(now).Add(-lateness)}}
}

// chunk is a part of an emission.
type chunk struct {
	events []fresh
	groups []group
	ages   []int32      // by how many µs the events were emitted before the last one, by their index
	stored map[int]bool // which events are stored already, by their index
	// traced and about say that one of them has a traceparent, and a subject.
	traced, about bool
	found         []lane
}

// group has the events of a chunk for one audience.
type group struct {
	audience
	events    []int // by their index in the chunk
	endpoints []subscriber
}

// subscriber is an endpoint that gets the events of a group.
type subscriber struct {
	key int64
	id  string
}

// newChunk takes as many events from the front as fit into one round trip.
func newChunk(events []fresh) *chunk {
	c := &chunk{}
	index := map[audience]int{}
	size := 0
	for i, e := range events[:min(len(events), chunkEvents)] {
		if size > chunkBytes {
			break
		}
		size += len(e.Data)
		c.traced, c.about = c.traced || e.TraceParent != "", c.about || e.Subject != ""
		c.events = events[:i+1]
		of := audience{e.OrganizationID, e.Type}
		g, ok := index[of]
		if !ok {
			g = len(c.groups)
			index[of] = g
			c.groups = append(c.groups, group{audience: of})
		}
		c.groups[g].events = append(c.groups[g].events, i)
	}
	c.order()
	return c
}

// order gives the events ages in the order of the call, and puts those of each group into it.
func (c *chunk) order() {
	byRank := make([]int, len(c.events))
	for i := range byRank {
		byRank[i] = i
	}
	slices.SortFunc(byRank, func(i, j int) int { return c.events[i].rank - c.events[j].rank })
	c.ages = make([]int32, len(c.events))
	for place, i := range byRank {
		c.ages[i] = int32(len(byRank) - 1 - place)
	}
	for _, g := range c.groups {
		slices.SortFunc(g.events, func(i, j int) int { return int(c.ages[j] - c.ages[i]) })
	}
}

// find returns the query that finds who gets the events.
func (c *chunk) find() query {
	organizations, types, stars := make([]string, len(c.groups)), make([]string, len(c.groups)), make([]string, len(c.groups))
	for i, g := range c.groups {
		organizations[i], types[i] = g.organization, g.eventType
		stars[i] = strings.Join(alotwebhook.Subscriptions(g.eventType)[1:], " ")
	}
	return query{sql: findSubscribers, reads: true, args: []any{organizations, types, stars}, rows: func(rows resultRows) error {
		for rows.Next() {
			var place, now int64
			var p subscriber
			var disabled bool
			if err := rows.Scan(&place, &p.key, &p.id, &disabled, &now); err != nil {
				return err
			}
			c.groups[place].endpoints = append(c.groups[place].endpoints, p)
			if !disabled {
				c.found = append(c.found, p.dueAt(now))
			}
		}
		return rows.Err()
	}}
}

// findStored returns the query that finds the events that are stored already.
func (c *chunk) findStored() query {
	ids := make([]pgtype.UUID, len(c.events))
	for i, e := range c.events {
		ids[i] = param(e.id)
	}
	return query{sql: findStored, args: []any{ids}, rows: c.readStored, reads: true}
}

func (c *chunk) readStored(rows resultRows) error {
	c.stored = map[int]bool{}
	for rows.Next() {
		var place int
		if err := rows.Scan(&place); err != nil {
			return err
		}
		c.stored[place] = true
	}
	return rows.Err()
}

// insert returns the query that stores the events.
func (c *chunk) insert() query {
	n := len(c.events)
	ids, types, organizations, payloads := make([]pgtype.UUID, n), make([]string, n), make([]string, n), make([]string, n)
	for i, e := range c.events {
		ids[i], types[i], organizations[i], payloads[i] = param(e.id), e.Type, e.OrganizationID, string(e.Payload())
	}
	traces := c.texts(c.traced, func(e fresh) string { return e.TraceParent })
	subjects := c.texts(c.about, func(e fresh) string { return e.Subject })
	return query{sql: insertNewEvents, args: []any{ids, types, organizations, payloads, traces, subjects}, rows: c.readStored}
}

// texts returns a text of each event, NULL where one has none; nil unless some has one.
func (c *chunk) texts(some bool, of func(fresh) string) []*string {
	if !some {
		return nil
	}
	texts := make([]*string, len(c.events))
	for i, e := range c.events {
		texts[i] = textOrNull(of(e))
	}
	return texts
}

// textOrNull returns a text that is NULL if it is empty.
func textOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// deliver executes the queries before and stores the deliveries of the events that are new.
// last says that nothing follows the chunk.
func (c *chunk) deliver(last bool, send sender, before ...query) error {
	left := 0
	for _, g := range c.groups {
		left += len(g.endpoints) * len(g.events)
	}
	d := newDeliveries(left)
	err := c.each(func(e fresh, p subscriber, age int32) error {
		if len(d.ids) == chunkDeliveries {
			if err := send(false, append(before, d.insert())...); err != nil {
				return err
			}
			before, d = nil, newDeliveries(left)
		}
		left--
		d.add(e, p, age)
		return nil
	})
	if err != nil {
		return err
	}
	if len(d.ids) > 0 {
		before = append(before, d.insert())
	}
	return send(last, before...)
}

// each calls f for each delivery of the events that are new, with how many µs before now it is
// due. Deliveries to one endpoint come one after the other, since that costs the index of the
// queue less.
func (c *chunk) each(f func(e fresh, p subscriber, age int32) error) error {
	for _, g := range c.groups {
		for _, p := range g.endpoints {
			for _, i := range g.events {
				if c.stored[i] {
					continue
				}
				if err := f(c.events[i], p, c.ages[i]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// deliveries are the arguments of insertDeliveries.
type deliveries struct {
	ids       []pgtype.UUID
	endpoints []int64
	events    []pgtype.UUID
	types     []string
	ages      []int32
}

// newDeliveries makes room for n of them, or for as many as fit into a round trip.
func newDeliveries(n int) *deliveries {
	n = min(n, chunkDeliveries)
	return &deliveries{make([]pgtype.UUID, 0, n), make([]int64, 0, n), make([]pgtype.UUID, 0, n), make([]string, 0, n), make([]int32, 0, n)}
}

// add adds the delivery of an event to an endpoint, due age µs before it is stored.
func (d *deliveries) add(e fresh, p subscriber, age int32) {
	d.ids = append(d.ids, param(deliveryID(e, p.id)))
	d.endpoints = append(d.endpoints, p.key)
	d.events = append(d.events, param(e.id))
	d.types = append(d.types, e.Type)
	d.ages = append(d.ages, age)
}

func (d *deliveries) insert() query {
	return query{sql: insertDeliveries, args: []any{d.ids, d.endpoints, d.events, d.types, d.ages}}
}

// deliveryID returns what [alotwebhook.DeliveryID] spells: the first six bytes of the event's
// id, then the beginning of the SHA-256 of both ids, with the version and variant of a UUIDv7.
func deliveryID(e fresh, endpointID string) (u uuid) {
	var joined [64]byte
	sum := sha256.Sum256(append(append(joined[:0], e.ID...), endpointID...))
	copy(u[:6], e.id[:])
	copy(u[6:], sum[:])
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return u
}
