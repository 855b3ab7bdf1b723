package memory

import (
	"cmp"
	"container/heap"
	"container/list"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// Store is a [alotwebhook.Store] in the memory of one process, for tests and for
// hosts that can afford to lose what is queued. It is not durable: everything
// it holds is gone when the process ends, and nothing is erased before
// [Store.Purge] is called.
//
// It keeps every rule of [alotwebhook.Store] and may be read as an example of them. The
// cost of a claim does not depend on what is queued.
type Store struct {
	mu    sync.Mutex
	begun time.Time // every time inside is counted from here, by the monotonic clock

	events     map[string]*storedEvent
	deliveries map[string]*storedDelivery
	endpoints  map[string]*storedEndpoint
	recoveries map[string]alotwebhook.Recovery         // by endpoint
	tallies    map[string]map[int64]*alotwebhook.Tally // by endpoint and hour

	// turns holds the enabled endpoints that have something due, whose turn it
	// is first; alarms those that have something waiting, soonest first.
	turns     *list.List
	alarms    dueHeap[*storedEndpoint]
	lastLease int64

	// What people read, by id.
	all        idList
	byOrg      map[string]*storedOrganization
	byEndpoint map[string]*idList // outlives the endpoint

	// What purging goes by, longest ago first.
	finished *list.List // finished deliveries
	settled  *list.List // events with a payload and nothing unfinished
	unheard  *list.List // events that nobody subscribed to
}

type storedOrganization struct {
	endpoints  []*storedEndpoint // by id
	deliveries idList
}

type storedEvent struct {
	alotwebhook.Event // Data is a part of payload
	payload           []byte
	deliveries        idList
	unfinished        int
	settledAt         time.Duration
	settled, unheard  *list.Element // places in the lists of these names, or nil
}

// memoryEndpoint is an endpoint with its queue. Disabling changes nothing in
// the queue: it only takes the endpoint out of turns and alarms.
type storedEndpoint struct {
	*alotwebhook.Endpoint // replaced as a whole, never changed: claims share it
	gone                  bool
	unfinished            int64
	dueNow                *list.List               // deliveries due, longest first
	waiting               dueHeap[*storedDelivery] // deliveries due later, or leased
	turn                  *list.Element            // place in turns, or nil
	alarm                 int                      // place in alarms, or -1
}

type storedDelivery struct {
	id       string
	event    *storedEvent
	endpoint *storedEndpoint
	state    alotwebhook.DeliveryState // pending stands for parked, too

	createdAt, dueAt, finishedAt time.Duration

	elem    *list.Element // place in endpoint.dueNow or in finished, or nil
	waiting int           // place in endpoint.waiting, or -1
	lease   int64         // the newest claim's token; 0 after an outcome
	claims  int
	tried   int // attempts before the last redelivery

	attempts   []alotwebhook.Attempt
	lastReason alotwebhook.FailureReason
}

// NewStore returns an empty store.
func New() *Store {
	return &Store{
		begun:      time.Now(),
		events:     map[string]*storedEvent{},
		deliveries: map[string]*storedDelivery{},
		endpoints:  map[string]*storedEndpoint{},
		recoveries: map[string]alotwebhook.Recovery{},
		tallies:    map[string]map[int64]*alotwebhook.Tally{},
		turns:      list.New(),
		byOrg:      map[string]*storedOrganization{},
		byEndpoint: map[string]*idList{},
		finished:   list.New(),
		settled:    list.New(),
		unheard:    list.New(),
	}
}

// lock is the way into every method; the caller unlocks.
func (s *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("alotwebhook: memory store: %w", err)
	}
	s.mu.Lock()
	return nil
}

func (s *Store) now() time.Duration { return time.Since(s.begun) }

// instant turns a time of the store into one for people.
func (s *Store) instant(t time.Duration) time.Time {
	return s.begun.Add(t).Round(0).UTC() // Round drops the monotonic reading
}

func (s *Store) organization(id string) *storedOrganization {
	org := s.byOrg[id]
	if org == nil {
		org = &storedOrganization{}
		s.byOrg[id] = org
	}
	return org
}

// Enqueue implements [alotwebhook.Enqueuer].
func (s *Store) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	now := s.now()
	for _, event := range events {
		if s.events[event.ID] != nil {
			continue
		}
		stored := s.addEvent(event)
		for _, e := range s.organization(event.OrganizationID).endpoints {
			if slices.Contains(e.EventTypes, event.Type) {
				s.addDelivery(stored, e, now)
			}
		}
		if stored.unfinished == 0 {
			stored.unheard = s.unheard.PushBack(stored)
			s.settle(stored, now)
		}
	}
	return nil
}

// EnqueueTo implements [alotwebhook.Queue].
func (s *Store) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	e := s.endpoints[endpointID]
	if e == nil {
		return fmt.Errorf("%w: endpoint %q", alotwebhook.ErrNotFound, endpointID)
	}
	if s.events[event.ID] == nil {
		s.addDelivery(s.addEvent(event), e, s.now())
	}
	return nil
}

func (s *Store) addEvent(event alotwebhook.Event) *storedEvent {
	payload := event.Payload()
	end := len(payload) - 1 // the closing brace
	event.Data = payload[end-len(event.Data) : end : end]
	stored := &storedEvent{Event: event, payload: payload}
	s.events[event.ID] = stored
	return stored
}

func (s *Store) addDelivery(event *storedEvent, e *storedEndpoint, now time.Duration) {
	d := &storedDelivery{
		id:        alotwebhook.DeliveryID(event.ID, e.ID),
		event:     event,
		endpoint:  e,
		createdAt: now,
		waiting:   -1,
	}
	s.deliveries[d.id] = d
	for _, l := range s.listsOf(d) {
		l.insert(d)
	}
	s.begin(d, now)
}

// PutEndpoint implements [alotwebhook.Endpoints].
func (s *Store) PutEndpoint(ctx context.Context, next alotwebhook.Endpoint) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	e := s.endpoints[next.ID]
	switch {
	case e == nil && next.Version != 0:
		return fmt.Errorf("%w: endpoint %q", alotwebhook.ErrNotFound, next.ID)
	case e != nil && next.Version != e.Version:
		return fmt.Errorf("%w: endpoint %q is at version %d, not %d", alotwebhook.ErrConflict, next.ID, e.Version, next.Version)
	}
	next.EventTypes = slices.Clone(next.EventTypes)
	next.Version++
	if e == nil {
		e = &storedEndpoint{dueNow: list.New(), alarm: -1}
		s.endpoints[next.ID] = e
		org := s.organization(next.OrganizationID)
		i, _ := slices.BinarySearchFunc(org.endpoints, next.ID, byEndpointID)
		org.endpoints = slices.Insert(org.endpoints, i, e)
	}
	e.Endpoint = &next
	s.reseat(e)
	return nil
}

func byEndpointID(e *storedEndpoint, id string) int { return cmp.Compare(e.ID, id) }

// Endpoint implements [alotwebhook.Endpoints].
func (s *Store) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	if err := s.lock(ctx); err != nil {
		return alotwebhook.Endpoint{}, err
	}
	defer s.mu.Unlock()
	e := s.endpoints[id]
	if e == nil {
		return alotwebhook.Endpoint{}, fmt.Errorf("%w: endpoint %q", alotwebhook.ErrNotFound, id)
	}
	return e.copy(), nil
}

func (e *storedEndpoint) copy() alotwebhook.Endpoint {
	c := *e.Endpoint
	c.EventTypes = slices.Clone(c.EventTypes)
	return c
}

// Endpoints implements [alotwebhook.Endpoints].
func (s *Store) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) (page []alotwebhook.Endpoint, next string, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, "", err
	}
	defer s.mu.Unlock()
	matching := s.endpointsOf(f.OrganizationID)
	i, found := slices.BinarySearchFunc(matching, f.Cursor, byEndpointID)
	if found {
		i++
	}
	limit := cmp.Or(f.Limit, defaultPage)
	for _, e := range matching[i:] {
		if len(page) == limit {
			return page, page[limit-1].ID, nil
		}
		page = append(page, e.copy())
	}
	return page, "", nil
}

// endpointsOf returns an organization's endpoints by id, or everybody's. The
// latter is for tools: it is sorted for the occasion.
func (s *Store) endpointsOf(organizationID string) []*storedEndpoint {
	if organizationID != "" {
		if org := s.byOrg[organizationID]; org != nil {
			return org.endpoints
		}
		return nil
	}
	all := make([]*storedEndpoint, 0, len(s.endpoints))
	for _, e := range s.endpoints {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *storedEndpoint) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// DeleteEndpoint implements [alotwebhook.Endpoints].
func (s *Store) DeleteEndpoint(ctx context.Context, id string) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	e := s.endpoints[id]
	if e == nil {
		return fmt.Errorf("%w: endpoint %q", alotwebhook.ErrNotFound, id)
	}
	delete(s.endpoints, id)
	org := s.byOrg[e.OrganizationID]
	org.endpoints = slices.DeleteFunc(org.endpoints, func(other *storedEndpoint) bool { return other == e })
	e.gone = true
	for now := s.now(); e.unfinished > 0; {
		d := e.anyUnfinished()
		e.unqueue(d)
		d.lastReason = alotwebhook.ReasonEndpointDeleted
		s.end(d, alotwebhook.StateFailed, now)
	}
	s.reseat(e)
	return nil
}

func (e *storedEndpoint) anyUnfinished() *storedDelivery {
	if front := e.dueNow.Front(); front != nil {
		return front.Value.(*storedDelivery)
	}
	return e.waiting[len(e.waiting)-1] // the cheapest to remove
}

// dueHeap is a heap by due time whose members know their place.
type dueHeap[T dueMember] []T

type dueMember interface {
	comparable
	due() time.Duration
	place() *int // -1 outside the heap
}

// Len implements [sort.Interface].
func (h dueHeap[T]) Len() int { return len(h) }

// Less implements [sort.Interface].
func (h dueHeap[T]) Less(i, j int) bool { return h[i].due() < h[j].due() }

// Swap implements [sort.Interface].
func (h dueHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].place(), *h[j].place() = i, j
}

// Push implements [heap.Interface].
func (h *dueHeap[T]) Push(x any) {
	*x.(T).place() = len(*h)
	*h = append(*h, x.(T))
}

// Pop implements [heap.Interface].
func (h *dueHeap[T]) Pop() any {
	var none T
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = none
	*h = (*h)[:last]
	*x.place() = -1
	return x
}

// set puts x in, takes it out, or moves it to where its due time belongs.
func (h *dueHeap[T]) set(x T, in bool) {
	switch i := *x.place(); {
	case in && i < 0:
		heap.Push(h, x)
	case in:
		heap.Fix(h, i)
	case i >= 0:
		heap.Remove(h, i)
	}
}

func (d *storedDelivery) due() time.Duration { return d.dueAt }
func (d *storedDelivery) place() *int        { return &d.waiting }

func (e *storedEndpoint) due() time.Duration { return e.waiting[0].dueAt }
func (e *storedEndpoint) place() *int        { return &e.alarm }
