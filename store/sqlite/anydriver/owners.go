package anydriver

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// A claim writes nothing: the store that has claimed deliveries remembers them, and nobody else
// claims from the same endpoints. For that, each store owns slots, and an endpoint belongs to a
// slot. The tables owners and slots, which are written seldom, say who owns which. A slot changes
// hands in two ways. Its owner gives it away, after writing the leases of the deliveries that it
// holds there into their rows. Or the owner's time is up, because its process has ended without
// doing so: then each delivery that it may have held counts as lost once.

const (
	// lookInterval is how often a claim looks for owners whose time is up, and how often
	// an owner without its share says so.
	lookInterval = time.Second
	// soon is how long a store that waits for slots is told to wait until its next claim.
	soon = 20 * time.Millisecond
)

// ownership describes a store as an owner, as far as it knows. The writer changes it only while a
// claim waits for it.
type ownership struct {
	id      int64        // 0 for none; the writer may read it
	until   atomic.Int64 // when its time is up, in µs since 1970
	slots   uint64       // those that it owns, a bit for each
	free    uint64       // those that nobody owns
	asking  bool         // it waits for slots of others
	changes int64        // how often the tables had changed when it was compared with them
	looked  time.Time    // when it was compared with the tables
	renewal atomic.Bool  // its time is being put off
	here    presence
}

// look says how a claim looks at the tables.
type look struct {
	lease       time.Duration
	perEndpoint int            // how many deliveries of an endpoint can be under way
	greedy      bool           // take whatever slot is free
	known       bool           // the store is an owner
	ended       map[int64]bool // owners whose processes have ended
}

// lookAround compares what this store knows of itself with the tables, if they have changed or
// lookInterval is over. If the store has to change something there, balance does so; only that
// writes.
func (s *Store) lookAround(ctx context.Context, l look) error {
	t := &txn{ctx: ctx, in: s.claims, on: s.claims.db, now: time.Now().UnixMicro()}
	var endpoints, changes int64
	if err := t.one("SELECT endpoints, owners FROM alotwebhook_changes")(&endpoints, &changes); err != nil {
		return err
	}
	t.know(endpoints)
	o := &s.owner
	if o.id != 0 && !l.greedy && changes == o.changes && time.Since(o.looked) < lookInterval {
		return nil
	}
	found, err := t.census(nil)
	if err != nil {
		return err
	}
	l.ended = s.ended(&found)
	l.known = slices.ContainsFunc(found.owners, func(r owner) bool { return r.id == o.id })
	p, misses := found.plan(o.id, t.now, l.greedy)
	if l.known && p.empty() {
		s.noteOwner(o.id, changes, &found, misses)
		return nil
	}
	return s.balance(ctx, l)
}

// noteOwner notes what the tables say of this store, which is the owner id, at the time when they
// had changed so often.
func (s *Store) noteOwner(id, changes int64, found *census, misses bool) {
	o := &s.owner
	before := o.slots
	o.changes, o.asking, o.looked = changes, misses, time.Now()
	o.slots, o.free = 0, 0
	for i, slot := range found.slots {
		switch slot.owner {
		case id:
			o.slots |= 1 << i
		case 0:
			o.free |= 1 << i
		}
	}
	if o.slots != before {
		clear(s.lanes.marks)
	}
}

// slack returns how much longer than the leases of its deliveries an owner's time lasts. A claim
// extends the time when half of the slack is used up. So an idle process, too, has to claim now
// and then.
func slack(lease time.Duration) time.Duration { return lease / 4 }

// balanced is the result of a balance.
type balanced struct {
	id, until, changes int64
	found              census    // the tables as they are now
	written            []claimOf // those whose leases were written
	files              []string  // those of owners that were buried
}

// balance makes this store an owner, if it is none, and puts the tables right.
func (s *Store) balance(ctx context.Context, l look) error {
	var b balanced
	var appeared presence
	if !l.known {
		appeared = s.appear()
	}
	err := s.submit(&job{
		ctx:   ctx,
		doing: "claim deliveries",
		run: func(t *txn) (err error) {
			b = balanced{until: max(s.owner.until.Load(), t.now+(l.lease+slack(l.lease)).Microseconds())}
			if b.id, err = t.signIn(s.owner.id, b.until, appeared.name); err != nil {
				return err
			}
			if err = t.rebalance(&b, l); err != nil {
				return err
			}
			return t.one("UPDATE alotwebhook_changes SET owners = owners + ? RETURNING owners", 1)(&b.changes)
		},
		committed: func() { s.noteBalance(&b, &appeared) },
		done:      make(chan struct{}),
	})
	s.vanish(&appeared)
	for _, name := range b.files {
		if err == nil {
			s.vanish(&presence{name: name})
		}
	}
	return err
}

// noteBalance notes the result of a balance that is committed. If that has made a new owner, whose
// presence is appeared, noteBalance leaves the presence of the old one there.
func (s *Store) noteBalance(b *balanced, appeared *presence) {
	if b.id != s.owner.id { // somebody has taken its slots, or it had none
		s.held.clear()
		s.owner.here, *appeared = *appeared, s.owner.here
	}
	s.held.drop(b.written)
	s.owner.id = b.id
	s.owner.until.Store(b.until)
	_, misses := b.found.plan(b.id, time.Now().UnixMicro(), false)
	s.noteOwner(b.id, b.changes, &b.found, misses)
}

// signIn extends the time of an owner, or makes a new one with that file if it is gone, and
// returns the id.
func (t *txn) signIn(id, until int64, file string) (int64, error) {
	there, err := t.extend(id, until)
	if err != nil || there {
		return id, err
	}
	err = t.one("INSERT INTO alotwebhook_owners (until, asked, file, seen) VALUES (?, ?, ?, ?) RETURNING id", until, t.now, file, t.now)(&id)
	return id, err
}

// extend has an owner's time last until a time, and reports whether the owner is there still.
func (t *txn) extend(id, until int64) (there bool, err error) {
	n, err := t.affected("UPDATE alotwebhook_owners SET until = max(until, ?), seen = ? WHERE id = ?", until, t.now, id)
	return n > 0, err
}

// rebalance carries out the plan of the owner b.id.
func (t *txn) rebalance(b *balanced, l look) (err error) {
	if b.found, err = t.census(l.ended); err != nil {
		return err
	}
	p, _ := b.found.plan(b.id, t.now, l.greedy)
	for _, o := range p.dead {
		if err := t.bury(o.id, &b.found, l.perEndpoint); err != nil {
			return err
		}
		b.files = append(b.files, o.file)
	}
	if b.written, err = t.writeLeases(t.s.held.among(inSlots(p.give), 0)); err != nil {
		return err
	}
	if err := t.moveSlots(b.id, &p, &b.found); err != nil {
		return err
	}
	if p.ask {
		err = t.exec("UPDATE alotwebhook_owners SET asked = ? WHERE id = ?", t.now, b.id)
	}
	return err
}

// isOwner reports whether an owner is still in the table. If not, others may own the deliveries
// by now that it holds.
func (t *txn) isOwner(id int64) (bool, error) {
	return found(t.one("SELECT id FROM alotwebhook_owners WHERE id = ?", id)(new(int64)))
}

// errDisowned says that the store is no owner any more: it was held up for longer than its time.
var errDisowned = sayf("claim deliveries: this process was held up, and others have taken over; claim again")

// putOff extends the owner's time unless it lasts for more than a lease and half of the slack. The
// caller has to wait for that only if less than a lease is left.
func (s *Store) putOff(ctx context.Context, lease time.Duration) error {
	now := time.Now().UnixMicro()
	left := s.owner.until.Load() - now - lease.Microseconds()
	if left > slack(lease).Microseconds()/2 {
		return nil
	}
	id, until := s.owner.id, now+(lease+slack(lease)).Microseconds()
	if left < 0 {
		return s.renew(ctx, id, until)
	}
	if s.owner.renewal.CompareAndSwap(false, true) {
		go func() {
			defer s.owner.renewal.Store(false)
			_ = s.renew(context.Background(), id, until) // the next claim tries again
		}()
	}
	return nil
}

// renew has the time of the owner id last until a time, in µs since 1970.
func (s *Store) renew(ctx context.Context, id, until int64) error {
	return s.submit(&job{
		ctx:   ctx,
		doing: "claim deliveries",
		run: func(t *txn) error {
			there, err := t.extend(id, until)
			if err == nil && !there {
				err = errDisowned
			}
			return err
		},
		committed: func() { s.owner.until.Store(until) },
		done:      make(chan struct{}),
	})
}

// leave gives all slots away, and writes the leases of all holdings into their rows. With holdings
// the store stays an owner without slots until its time is up, unless forGood: it may claim again, and
// is shown as a process meanwhile.
func (s *Store) leave(ctx context.Context, forGood bool) error {
	id := s.owner.id
	if id == 0 {
		return nil
	}
	var stays bool
	err := s.submit(&job{
		ctx:   ctx,
		doing: "leave the deliveries to others",
		run: func(t *txn) (err error) {
			stays, err = t.signOut(id, forGood)
			return err
		},
		committed: func() {
			s.held.clear()
			s.owner.slots = 0
			if !stays {
				s.owner.id = 0
				s.owner.until.Store(0)
			}
		},
		done: make(chan struct{}),
	})
	if err == nil && !stays {
		s.vanish(&s.owner.here)
	}
	return err
}

// signOut takes its slots from an owner that leaves by itself, and reports whether it stays one.
func (t *txn) signOut(id int64, forGood bool) (stays bool, err error) {
	if there, err := t.isOwner(id); err != nil || !there {
		return false, err
	}
	written, err := t.writeLeases(t.s.held.among(everyEndpoint, 0))
	if err != nil {
		return false, err
	}
	if err := t.exec(freeSlots, t.now, id); err != nil {
		return false, err
	}
	query := "DELETE FROM alotwebhook_owners WHERE id = ?"
	if stays = len(written) > 0 && !forGood; stays {
		query = "UPDATE alotwebhook_owners SET asked = 0 WHERE id = ?" // it wants no slots for now
	}
	if err := t.exec(query, id); err != nil {
		return false, err
	}
	return stays, t.exec("UPDATE alotwebhook_changes SET owners = owners + ?", 1)
}

// retire is leave for a store that is about to be closed, and lets nobody claim any more.
// After an error its time is up by itself.
func (s *Store) retire() {
	s.claiming <- struct{}{}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = s.leave(ctx, true)
	s.vanish(&s.owner.here)
}
