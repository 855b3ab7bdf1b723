// Package shards is an [alotwebhook.Store] over several others, the shards, for hosts whose
// events are more than one database takes.
//
//	store, err := shards.New(map[string]alotwebhook.Store{"a": one, "b": two}, nil)
//	dispatcher, err := alotwebhook.NewDispatcher(store, nil)
//
// All that belongs to an organization is in one shard: its endpoints, events, deliveries and
// their history. A claim asks all shards, so that one dispatcher sends for all of them.
// [ByHash] spreads the organizations; [Config.Places] can place them otherwise.
//
// # A shard that is down
//
// A shard that is down or hangs holds up its own organizations alone. Claims go on with the
// others after [Config.Patience] at the latest, and do not wait for that shard again until
// it has answered. A dispatcher records the outcomes of each shard by themselves. A call for
// one organization, or for an endpoint or a delivery of one, needs no other shard; to hear
// that an id is nowhere needs all of them, as do lists without an organization and
// [Store.Stats], which then return an error.
//
// # What is promised, and what is not
//
// The rules of [alotwebhook.Store] hold for each organization, with these words on what
// concerns several:
//
//   - Events of one organization are stored all or none. So are those of one call if all
//     organizations in it have the same shard. Of others, each shard stores its part, all or
//     none: after an error, some parts may be stored, and the call should be made again with
//     the same events, as after every error. What is stored already changes nothing then.
//   - An event id is looked for in the shards of its organization. The id of another
//     organization's event, which only a mistake gives to a second one, may be elsewhere.
//   - Endpoints take turns within a shard. Between shards, each gets its share of a claim by
//     how many endpoints it had due deliveries of lately.
//   - While an organization moves, [Store.Stats] and [Store.Count] count its endpoints in each of
//     its shards.
//   - A host's own transaction is of one database: see [Store.Within].
//
// # Moving an organization
//
// An organization moves without a pause, and nothing is copied but its endpoints: new events
// go to the new shard, and the old one delivers and shows what it has, until its retention
// has passed. docs/operating.md has the procedure: [Config.Places], [Store.Mirror] and
// [Store.Leave] are its steps.
package shards

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
	"github.com/alot/alotwebhook/internal/fault"
	"github.com/alot/alotwebhook/internal/pace"
	"github.com/alot/alotwebhook/internal/unwrap"
)

// Config says how a [Store] works. Nil, and every zero field, stands for the defaults.
type Config struct {
	// Places returns the names of an organization's shards. The first one is its home: that
	// is where its new events and endpoints go. Further ones are for an organization that
	// moves: they still deliver what they have. It is called often, from many goroutines at
	// once, and must give the same names in all processes, but for the steps of a move.
	// Defaults to [ByHash] of all names.
	Places func(organizationID string) []string
	// Patience is how long a claim waits for a shard that used to be in time while others
	// have answered already. A shard that was not in time is not waited for until it was
	// once more; what it gives is claimed as soon as it comes. From 1 ms to 10 min.
	// Defaults to 50 ms.
	Patience time.Duration
	// Logger gets a line when a shard begins to fail and one when it has recovered.
	// Defaults to [slog.Default].
	Logger *slog.Logger
}

// Store is an [alotwebhook.Store] over shards. [New] makes one. It is also an
// [alotwebhook.Tallier], an [alotwebhook.Notifier], an [alotwebhook.Pauser] and an
// [alotwebhook.Surveyor] and [feed.Feeder], as far as its shards are. All methods may be called from many goroutines
// at once.
//
// A store of yours that wraps it needs a method Unwrap() alotwebhook.Store, so that a
// dispatcher finds these capabilities, and [Store.Parts].
type Store struct {
	shards   []*shard // in the order of their names
	byName   map[string]*shard
	places   func(organizationID string) []string
	byHash   func(id string) []string // where that is which belongs to no organization
	patience time.Duration

	organizations *memo[string] // of endpoints, by their ids
	seen          *memo[*shard] // where a delivery was found, by its id
	claimed       *memo[claim]  // where a delivery was claimed that is not finished, by its id
	told          *memo[*shard] // where an operation was claimed, by its id

	mu        sync.Mutex // for all that follows, and for the claims of the shards
	turn      int        // which shard comes first in the next round of claims
	tellTurn  int        // the same for operations
	late      []late
	listeners map[chan<- struct{}]bool
}

var (
	_ alotwebhook.Store    = (*Store)(nil)
	_ alotwebhook.Tallier  = (*Store)(nil)
	_ alotwebhook.Notifier = (*Store)(nil)
	_ alotwebhook.Pauser   = (*Store)(nil)
	_ alotwebhook.Surveyor = (*Store)(nil)
	_ feed.Feeder          = (*Store)(nil)
)

// shard is one of the stores, with what is known about how it fares.
type shard struct {
	name     string
	index    int
	store    alotwebhook.Store
	tallier  alotwebhook.Tallier  // nil if the store is none
	notifier alotwebhook.Notifier // nil if the store is none
	pauser   alotwebhook.Pauser   // nil if the store is none
	surveyor alotwebhook.Surveyor // nil if the store is none
	feeder   feed.Feeder          // nil if the store is none
	log      *slog.Logger
	claims   claims
	tallies  tallies
	pauses   pauses

	operations operations
}

// Place names the shards: see [alotwebhook.Enqueuer]. A transaction is of one of them: see [Store.Within].
func (s *Store) Place() string { return fmt.Sprintf("the shards %q", namesOf(s.shards)) }

// New returns a store over these shards, by their names. The names are what organizations
// are placed by: a shard keeps its name for as long as it exists, wherever its database
// moves. The error is a [alotwebhook.FieldError].
//
// The shards are the caller's, who closes them after the last use of the store.
func New(stores map[string]alotwebhook.Store, cfg *Config) (*Store, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	names := slices.Sorted(maps.Keys(stores))
	if len(names) == 0 {
		return nil, &alotwebhook.FieldError{Field: "stores", Problem: "is empty; give at least one shard"}
	}
	if p := cfg.Patience; p != 0 && (p < time.Millisecond || p > 10*time.Minute) {
		return nil, &alotwebhook.FieldError{Field: "Patience", Problem: fmt.Sprintf("is %v, not from 1ms to 10m", p)}
	}
	s := &Store{
		byName: map[string]*shard{}, places: cfg.Places, byHash: ByHash(names...), patience: cmp.Or(cfg.Patience, 50*time.Millisecond),
		organizations: newMemo[string](1 << 16), seen: newMemo[*shard](1 << 15), claimed: newMemo[claim](1 << 17), told: newMemo[*shard](1 << 12),
		listeners: map[chan<- struct{}]bool{},
	}
	if s.places == nil {
		s.places = s.byHash
	}
	log := cmp.Or(cfg.Logger, slog.Default())
	for i, name := range names {
		if name == "" || fault.IsNil(stores[name]) {
			return nil, &alotwebhook.FieldError{Field: "stores", Problem: fmt.Sprintf("has the shard %q, whose name is empty or whose store is nil", name)}
		}
		s.add(i, name, stores[name], log.With("shard", name))
	}
	return s, nil
}

func (s *Store) add(index int, name string, store alotwebhook.Store, log *slog.Logger) {
	sh := &shard{name: name, index: index, store: store, log: log}
	sh.tallier, sh.notifier = unwrap.To[alotwebhook.Tallier](store), unwrap.To[alotwebhook.Notifier](store)
	sh.pauser, sh.surveyor = unwrap.To[alotwebhook.Pauser](store), unwrap.To[alotwebhook.Surveyor](store)
	sh.feeder = unwrap.To[feed.Feeder](store)
	sh.claims = claims{weight: 1, finishes: map[int64]time.Time{}, episode: pace.Episode{Log: log, Operation: "claim"}}
	sh.operations.episode = pace.Episode{Log: log, Operation: "operations"}
	sh.tallies = tallies{pending: map[tallyKey]*alotwebhook.Tally{}, episode: pace.Episode{Log: log, Operation: "tally"}}
	s.shards = append(s.shards, sh)
	s.byName[name] = sh
}

// explain names the shard in an error of it.
func (sh *shard) explain(err error) error {
	if err == nil {
		return nil
	}
	return fault.Explain(err, "shard %q", sh.name)
}
