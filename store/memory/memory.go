// Package memory is an [alotwebhook.Store] in the memory of one process: for
// tests, for trying the library out, and for hosts that can afford to lose
// their queue when the process ends.
//
//	dispatcher, err := alotwebhook.NewDispatcher(memory.New(), nil)
//
// It keeps every rule of [alotwebhook.Store], and package storetest proves it. It is
// also the shortest example for those who write a store of their own.
//
// # What it costs
//
// One mutex guards everything. A claim costs the same whatever is queued: the
// endpoints with due deliveries wait in a list and are served in turn. Nothing
// leaves memory before [Store.Purge] is called, not even the payload of a
// delivered event. A running dispatcher calls it now and then, with the times of
// its Config: 30 days for payloads and 90 for the history by default.
//
// # Time
//
// The store counts time from its own beginning by the monotonic clock, so that
// a change of the system's clock moves no due time and ends no lease.
package memory

import (
	"container/list"
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// Store is an [alotwebhook.Store] in memory. [New] makes one; the zero Store is an empty one as
// well. All methods may be called from many goroutines at once.
type Store struct {
	mu    sync.Mutex // guards everything below
	begun time.Time  // when the store was made: the zero of its clock

	events     map[string]*storedEvent
	deliveries map[string]*storedDelivery
	endpoints  map[string]*storedEndpoint      // without the deleted ones
	recoveries map[string]alotwebhook.Recovery // by endpoint id, or by their own
	tallies    map[string]*storedTallies       // by endpoint id
	pauses     map[pauseKey]alotwebhook.Pause
	operations []*storedOperation // in the order of their ids
	unhandled  []*storedOperation // in the order in which they were stored

	// turns holds the enabled endpoints that have a due delivery, the one that
	// is served next in front. alarms holds the enabled endpoints that have a
	// delivery waiting for its due time, the earliest first. An endpoint may be
	// in both.
	turns     *list.List
	alarms    dueHeap[*storedEndpoint]
	lastToken int64 // the fencing token that was given out last
	lastPlace int64 // the number of the event that was stored last

	// These lists serve the pages of the history and its erasure, in the order of ids.
	all        records
	byOrg      map[string]*storedOrganization
	bySubject  map[string]*records                 // without those that are empty
	byEndpoint map[string]*idList[*storedDelivery] // by endpoint id; a deleted endpoint's list stays

	// Purge works through these lists from the front, which is the oldest.
	finished     *list.List // finished deliveries
	settled      *list.List // events that have their payload still and no unfinished delivery
	unsubscribed *list.List // events that nobody subscribed to
}

var _ alotwebhook.Store = (*Store)(nil)

// records holds the events and deliveries of somebody in the order of their ids.
type records struct {
	events     idList[*storedEvent]
	deliveries idList[*storedDelivery]
}

// storedOrganization holds the endpoints, events and deliveries of one organization.
type storedOrganization struct {
	endpoints []*storedEndpoint // in the order of their ids
	records
	feed lineup
}

// storedEvent is an event with its deliveries.
type storedEvent struct {
	alotwebhook.Event        // its Data is a part of payload
	payload           []byte // nil once it is erased
	place             int64  // its number in the order of storing, from 1
	deliveries        idList[*storedDelivery]
	unfinished        int           // how many of its deliveries are unfinished
	settledAt         time.Duration // when the last delivery was finished, or when an event without any was stored

	// These are the event's places in the lists of the same names, or nil.
	settled, unsubscribed *list.Element
}

// storedEndpoint is an endpoint with its queue. Disabling an endpoint leaves
// the queue as it is and only takes the endpoint out of turns and alarms.
type storedEndpoint struct {
	*alotwebhook.Endpoint // replaced as a whole and never changed, since claims share it
	// tests is the same endpoint with its tests, which are queued apart: nil before the first, and
	// in itself. isTests is set there.
	tests      *storedEndpoint
	isTests    bool
	deleted    bool
	former     map[int]string // the URLs that it had before, by URLs; nil if it has none
	unfinished int64
	dueNow     *list.List               // due deliveries, the one due longest in front
	waiting    dueHeap[*storedDelivery] // deliveries that fall due later, leased ones included
	leased     int                      // how many of waiting are leased
	first      firstPlace
	turn       *list.Element // the place in Store.turns, or nil
	alarm      int           // the place in Store.alarms, or -1
}

// storedDelivery is a delivery with its attempts.
type storedDelivery struct {
	id       string
	event    *storedEvent
	endpoint *storedEndpoint
	state    alotwebhook.DeliveryState // pending stands for parked, too; see shownState

	createdAt, dueAt, finishedAt time.Duration

	elem    *list.Element // the place in endpoint.dueNow or in Store.finished, or nil
	waiting int           // the place in endpoint.waiting, or -1
	token   int64         // of the newest claim; 0 before the first claim and after an outcome
	claims  int           // since the last outcome or release
	made    int           // attempts made
	tried   int           // attempts made before the last redelivery

	attempts   []storedAttempt // the newest
	lastReason alotwebhook.FailureReason
}

// storedAttempt is an attempt without its URL.
type storedAttempt struct {
	alotwebhook.Attempt
	urls int // of the endpoint as it was claimed
}

// New returns an empty store.
func New() *Store {
	s := &Store{}
	s.make()
	return s
}

// Place says that there is no database: see [alotwebhook.Enqueuer].
func (*Store) Place() string { return "the memory of this process" }

// make makes the maps and lists of an empty store.
func (s *Store) make() {
	s.begun = time.Now()
	s.events = map[string]*storedEvent{}
	s.deliveries = map[string]*storedDelivery{}
	s.endpoints = map[string]*storedEndpoint{}
	s.recoveries = map[string]alotwebhook.Recovery{}
	s.tallies = map[string]*storedTallies{}
	s.pauses = map[pauseKey]alotwebhook.Pause{}
	s.turns = list.New()
	s.byOrg = map[string]*storedOrganization{}
	s.bySubject = map[string]*records{}
	s.byEndpoint = map[string]*idList[*storedDelivery]{}
	s.finished = list.New()
	s.settled = list.New()
	s.unsubscribed = list.New()
}

// lock begins every method: it refuses a context that has ended, and otherwise
// takes the mutex, which the caller has to unlock. A zero store is made by its first call.
func (s *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("alotwebhook: memory store: the call's context has ended: %w", err)
	}
	s.mu.Lock()
	if s.begun.IsZero() {
		s.make()
	}
	return nil
}

// now is the time since the store was made.
func (s *Store) now() time.Duration { return time.Since(s.begun) }

// instant turns a time of the store's clock into a time of the calendar.
func (s *Store) instant(t time.Duration) time.Time {
	return s.begun.Add(t).Round(0).UTC() // Round drops the monotonic reading
}

// organization returns what an organization has, nothing for one that is new.
func (s *Store) organization(id string) *storedOrganization { return entry(s.byOrg, id) }

// entry returns the entry of the map with that key, and makes an empty one if there is none.
func entry[T any](m map[string]*T, key string) *T {
	x := m[key]
	if x == nil {
		x = new(T)
		m[key] = x
	}
	return x
}

// recordsOf returns where an event is listed, and where its deliveries are: with all others, with
// those of its organization and, if it has one, with those of its subject.
func (s *Store) recordsOf(event *storedEvent) iter.Seq[*records] {
	return func(yield func(*records) bool) {
		_ = yield(&s.all) && yield(&s.organization(event.OrganizationID).records) &&
			(event.Subject == "" || yield(entry(s.bySubject, event.Subject)))
	}
}
