package anydriver

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// A claim writes nothing: that the deliveries are taken is known to the store that has claimed
// them, and nobody else claims from the same endpoints. For that, each store owns slots, and
// an endpoint belongs to a slot. The tables owners and slots, which are written seldom, say
// who owns which. Slots change hands in two ways: an owner gives them away, once it has written
// the leases of what it holds there into the rows, or its time is up, since it has ended
// without doing so. What it held then can have been under way.

// slotCount is how many slots there are. The table slots has as many rows.
const slotCount = 32

func slotOf(endpoint int64) int { return int(endpoint % slotCount) }

const (
	// lookInterval is how often a claim looks for owners whose time is up, and how often
	// an owner without its share says so.
	lookInterval = time.Second
	// askedLately is for how long it is given slots after it has said so.
	askedLately = 3 * time.Second
	// notFetched is after what time a slot that somebody gave away, and nobody took, goes to
	// whoever looks.
	notFetched = 2 * time.Second
	// soon is how long a store that waits for slots is told to wait until its next claim.
	soon = 20 * time.Millisecond
)

// ownership is what a store knows of itself as an owner. The writer changes it only while a
// claim waits for it.
type ownership struct {
	id      int64        // 0 for none; the writer may read it
	until   atomic.Int64 // when its time is up, in µs since 1970
	slots   uint64       // those that it owns, a bit for each
	free    uint64       // those that nobody owns
	asking  bool         // it waits for slots of others
	changes int64        // the number of changes of owners and slots that this is as of
	looked  time.Time    // when it was compared with the tables
	renewal atomic.Bool  // its time is being put off
	here    presence
}

// owner is a row of the table owners, slot one of the table slots.
type (
	owner struct {
		id, until, asked int64
		file             string
	}
	slot struct{ owner, freed int64 }
)

// census is what the tables say at one moment.
type census struct {
	owners []owner
	slots  [slotCount]slot
}

// census reads the tables. The time of owners who have ended is up.
func (t *txn) census(ended map[int64]bool) (c census, err error) {
	err = t.each("SELECT id, until, asked, file FROM alotwebhook_owners WHERE id > ? ORDER BY id", []any{0}, func(scan func(...any) error) error {
		var o owner
		err := scan(&o.id, &o.until, &o.asked, &o.file)
		if ended[o.id] {
			o.until = 0
		}
		c.owners = append(c.owners, o)
		return err
	})
	if err != nil {
		return c, err
	}
	return c, t.each("SELECT slot, owner, freed FROM alotwebhook_slots WHERE slot >= 0 AND slot < ?", []any{slotCount}, func(scan func(...any) error) error {
		var i int
		var s slot
		err := scan(&i, &s.owner, &s.freed)
		if err == nil {
			c.slots[i] = s
		}
		return err
	})
}

// plan is what a store has to change in the tables.
type plan struct {
	dead       []owner // their time is up
	take, give []int   // slots
	ask        bool    // say that it misses some
}

func (p *plan) empty() bool { return len(p.dead)+len(p.take)+len(p.give) == 0 && !p.ask }

// plan returns what the owner me has to change at the time now, in µs since 1970, and whether
// it misses slots that are others'. greedy says that it takes whatever is free.
func (c *census) plan(me, now int64, greedy bool) (p plan, misses bool) {
	asked := map[int64]int64{}
	for _, o := range c.owners {
		if o.until < now && o.id != me {
			p.dead = append(p.dead, o)
			continue
		}
		asked[o.id] = o.asked
	}
	who := c.sharers(me, asked, now)
	mine, missing := 0, 0
	for i, s := range c.slots {
		should := who[i%len(who)]
		_, alive := asked[s.owner]
		if !alive && s.owner != 0 {
			s.freed = now
		}
		switch {
		case !alive:
			if should == me || greedy || now-s.freed > notFetched.Microseconds() {
				p.take = append(p.take, i)
				mine++
			}
		case s.owner != me && should == me:
			missing++
		case s.owner == me && should != me && now-asked[should] < askedLately.Microseconds():
			p.give = append(p.give, i)
		case s.owner == me:
			mine++
		}
	}
	misses = missing > 0 && mine < slotCount/len(who)
	p.ask = misses && now-asked[me] > lookInterval.Microseconds()
	return p, misses
}

// sharers returns who shares the slots, in the order of their ids: me, and those who have some
// or want some. Slot i is for number i of them, and so on from the beginning: so the endpoints
// of a few organizations, too, are shared evenly.
func (c *census) sharers(me int64, asked map[int64]int64, now int64) []int64 {
	who := []int64{me}
	for id, at := range asked {
		has := slices.ContainsFunc(c.slots[:], func(s slot) bool { return s.owner == id })
		if id != me && (has || now-at < askedLately.Microseconds()) {
			who = append(who, id)
		}
	}
	slices.Sort(who)
	return who
}

// look is a look at the tables, for a claim.
type look struct {
	lease       time.Duration
	perEndpoint int            // how many deliveries of an endpoint can be under way
	greedy      bool           // take whatever slot is free
	known       bool           // the store is an owner
	ended       map[int64]bool // owners whose processes have ended
}

// lookAround compares what this store knows of itself with the tables, if they have changed or
// it is time to, and puts right what is not as it should be. That alone writes.
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

// ended finds the owners whose processes have ended, and notes in the census that their time
// is up.
func (s *Store) ended(found *census) map[int64]bool {
	ended := map[int64]bool{}
	for i := range found.owners {
		if o := &found.owners[i]; o.id != s.owner.id && s.deserted(o.file) {
			ended[o.id] = true
			o.until = 0
		}
	}
	return ended
}

// noteOwner notes what the tables say.
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

// slack is how much longer than the leases of its deliveries an owner's time lasts. It is put
// off when half of that is over, of which an idle process, too, has to think.
func slack(lease time.Duration) time.Duration { return lease / 4 }

// balanced is what a balance has come to.
type balanced struct {
	id, until, changes int64
	found              census   // the tables as they are now
	written            []key    // deliveries whose leases were written
	files              []string // those of owners that were buried
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
		committed: func() {
			if b.id != s.owner.id { // somebody has taken its slots, or it had none
				s.held.clear()
				s.owner.here, appeared = appeared, s.owner.here
			}
			s.held.drop(b.written)
			s.owner.id = b.id
			s.owner.until.Store(b.until)
			_, misses := b.found.plan(b.id, time.Now().UnixMicro(), false)
			s.noteOwner(b.id, b.changes, &b.found, misses)
		},
		done: make(chan struct{}),
	})
	s.vanish(&appeared)
	for _, name := range b.files {
		if err == nil {
			s.vanish(&presence{name: name})
		}
	}
	return err
}

// signIn puts off the time of an owner, and makes a new one with that file if that is gone.
func (t *txn) signIn(id, until int64, file string) (int64, error) {
	n, err := t.affected("UPDATE alotwebhook_owners SET until = max(until, ?) WHERE id = ?", until, id)
	if err != nil || n > 0 {
		return id, err
	}
	err = t.one("INSERT INTO alotwebhook_owners (until, asked, file) VALUES (?, ?, ?) RETURNING id", until, t.now, file)(&id)
	return id, err
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
	for _, i := range p.take {
		b.found.slots[i] = slot{owner: b.id}
	}
	for _, i := range p.give {
		b.found.slots[i] = slot{freed: t.now}
	}
	for _, i := range slices.Concat(p.take, p.give) {
		to := b.found.slots[i]
		if err := t.exec("UPDATE alotwebhook_slots SET owner = ?, freed = ? WHERE slot = ?", to.owner, to.freed, i); err != nil {
			return err
		}
	}
	if p.ask {
		err = t.exec("UPDATE alotwebhook_owners SET asked = ? WHERE id = ?", t.now, b.id)
	}
	return err
}

// bury takes its slots from an owner whose time is up.
func (t *txn) bury(id int64, found *census, perEndpoint int) error {
	var slots uint64
	for i, s := range found.slots {
		if s.owner == id {
			slots |= 1 << i
			found.slots[i] = slot{freed: t.now}
		}
	}
	if err := t.suspect(slots, perEndpoint); err != nil {
		return err
	}
	if err := t.exec(freeSlots, t.now, id); err != nil {
		return err
	}
	return t.exec("DELETE FROM alotwebhook_owners WHERE id = ?", id)
}

const freeSlots = "UPDATE alotwebhook_slots SET owner = 0, freed = ? WHERE slot >= 0 AND owner = ?"

// endpointsDue finds the endpoints of some slots that are active and have deliveries due.
const endpointsDue = `WITH RECURSIVE turn(ref) AS (
	SELECT (SELECT endpoint FROM alotwebhook_queue WHERE endpoint > 0 ORDER BY endpoint LIMIT 1)
	UNION ALL
	SELECT (SELECT endpoint FROM alotwebhook_queue WHERE endpoint > turn.ref ORDER BY endpoint LIMIT 1)
	FROM turn WHERE turn.ref IS NOT NULL
)
SELECT turn.ref, e.ordered FROM turn CROSS JOIN alotwebhook_endpoints e ON e.ref = turn.ref
WHERE (?1 >> (turn.ref % 32)) & 1 AND e.active
	AND EXISTS (SELECT 1 FROM alotwebhook_queue WHERE endpoint = turn.ref AND next_at <= ?2)`

// suspect counts a lost claim of each delivery that a process which has ended can have had
// under way: of each endpoint the first ones, as many as it may have had at once. Only one
// for each: from then on its claims are written, and counted by that.
func (t *txn) suspect(slots uint64, perEndpoint int) error {
	var refs, ordered []int64
	err := t.each(endpointsDue, []any{int64(slots), t.now}, func(scan func(...any) error) error {
		var ref int64
		var inOrder bool
		err := scan(&ref, &inOrder)
		if inOrder {
			ordered = append(ordered, ref)
		} else {
			refs = append(refs, ref)
		}
		return err
	})
	if err == nil {
		err = t.suspectFirst(ordered)
	}
	for _, ref := range refs {
		if err == nil {
			err = t.exec(`UPDATE alotwebhook_queue SET claims = 1 WHERE claims = 0 AND lease = 0 AND id IN
				(SELECT id FROM alotwebhook_queue WHERE endpoint = ? AND next_at <= ? ORDER BY next_at, id LIMIT ?)`, ref, t.now, perEndpoint)
		}
	}
	return err
}

// writeLease writes the lease of a held delivery into its row, unless that is not as it was
// claimed.
const writeLease = "UPDATE alotwebhook_queue SET lease = ?, next_at = ? WHERE id = ? AND lease = 0 AND attempts = ?"

// writeLeases has leases outlive their owner. It returns the keys of the deliveries.
func (t *txn) writeLeases(list []holding) ([]key, error) {
	keys := make([]key, len(list))
	for i, h := range list {
		keys[i] = h.key
		if err := t.exec(writeLease, h.token, h.until, h.key[:], h.attempts); err != nil {
			return nil, err
		}
		if h.ordered {
			if err := t.keepFirst(h.endpoint, h.key); err != nil {
				return nil, err
			}
		}
	}
	return keys, nil
}

// isOwner reports whether an owner's time is not up. If it is, what the owner holds may be
// another's by now.
func (t *txn) isOwner(id int64) (bool, error) {
	return found(t.one("SELECT id FROM alotwebhook_owners WHERE id = ?", id)(new(int64)))
}

// writeRanOut writes the leases that have run out into their rows: so these deliveries fall
// due when they did, and whoever claims them next counts that they were claimed before.
func (s *Store) writeRanOut(ctx context.Context) error {
	list := s.held.among(everyEndpoint, time.Now().UnixMicro())
	if len(list) == 0 {
		return nil
	}
	clear(s.lanes.marks)
	var written []key
	return s.submit(&job{
		ctx:   ctx,
		doing: "claim deliveries",
		run: func(t *txn) (err error) {
			written = nil
			if there, err := t.isOwner(s.owner.id); err != nil || !there {
				return err
			}
			list = slices.DeleteFunc(list, func(h holding) bool { // finished meanwhile
				_, held := s.held.get(h.key, h.token)
				return !held
			})
			written, err = t.writeLeases(list)
			return err
		},
		committed: func() { s.held.drop(written) },
		done:      make(chan struct{}),
	})
}

// errDisowned says that the store is no owner any more: it was held up for longer than its time.
var errDisowned = sayf("claim deliveries: this process was held up, and others have taken over; claim again")

// putOff has the owner's time last for another lease. If it lasts for that long still, but not
// much longer, nobody waits for it.
func (s *Store) putOff(ctx context.Context, lease time.Duration) error {
	now := time.Now().UnixMicro()
	left := s.owner.until.Load() - now - lease.Microseconds()
	if left > slack(lease).Microseconds()/2 {
		return nil
	}
	until := now + (lease + slack(lease)).Microseconds()
	id := s.owner.id
	renew := func(ctx context.Context) error {
		return s.submit(&job{
			ctx:   ctx,
			doing: "claim deliveries",
			run: func(t *txn) error {
				n, err := t.affected("UPDATE alotwebhook_owners SET until = max(until, ?) WHERE id = ?", until, id)
				if err == nil && n == 0 {
					err = errDisowned
				}
				return err
			},
			committed: func() { s.owner.until.Store(until) },
			done:      make(chan struct{}),
		})
	}
	if left < 0 {
		return renew(ctx)
	}
	if s.owner.renewal.CompareAndSwap(false, true) {
		go func() {
			defer s.owner.renewal.Store(false)
			_ = renew(context.Background()) // the next claim tries again
		}()
	}
	return nil
}

// leave gives all slots away, and writes the leases of what is held.
func (s *Store) leave(ctx context.Context) error {
	id := s.owner.id
	if id == 0 {
		return nil
	}
	err := s.submit(&job{
		ctx:   ctx,
		doing: "leave the deliveries to others",
		run:   func(t *txn) error { return t.signOut(id) },
		committed: func() {
			s.held.clear()
			s.owner.id, s.owner.slots = 0, 0
			s.owner.until.Store(0)
		},
		done: make(chan struct{}),
	})
	if err == nil {
		s.vanish(&s.owner.here)
	}
	return err
}

// signOut takes its slots from an owner that leaves by itself.
func (t *txn) signOut(id int64) error {
	if there, err := t.isOwner(id); err != nil || !there {
		return err
	}
	if _, err := t.writeLeases(t.s.held.among(everyEndpoint, 0)); err != nil {
		return err
	}
	if err := t.exec(freeSlots, t.now, id); err != nil {
		return err
	}
	if err := t.exec("DELETE FROM alotwebhook_owners WHERE id = ?", id); err != nil {
		return err
	}
	return t.exec("UPDATE alotwebhook_changes SET owners = owners + ?", 1)
}

// retire is leave for a store that is about to be closed, and lets nobody claim any more.
// After an error its time is up by itself.
func (s *Store) retire() {
	s.claiming <- struct{}{}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = s.leave(ctx)
	s.vanish(&s.owner.here)
}
