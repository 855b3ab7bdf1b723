package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alot/alotwebhook"
)

// A process that claims owns slots, and sends what is due to the endpoints in them. Nobody else
// does, so a claim need write nothing. Who should own a slot follows from the list of the
// processes that are alive, so that all come to the same answer. Each process moves the slots
// that are its own to give or to take.

const (
	// balanceInterval is how often a process that claims looks after its slots at most.
	balanceInterval = time.Second
	// freshness is how long ago an owner may have looked after its slots and still be given
	// others.
	freshness = 3 * time.Second
)

// ownership describes this process as an owner, as far as it knows. Except for id, only a claim
// touches it, while it holds claiming.
type ownership struct {
	id     atomic.Int64 // of its row in owners; 0 for none
	until  time.Time    // the end of its lease by this process's clock
	next   time.Time    // when to look after the slots again
	others time.Time    // when the lease of another owner runs out, unless it is extended; zero for none
	told   int64        // its row's told when it last read its slots
	// toldNow is the row's told as the last claim has read it, -1 if the row is gone.
	toldNow int64
}

// owner is a row of the table owners.
type owner struct {
	id    int64
	told  int64
	rest  time.Duration // of its lease
	fresh bool
}

// due reports whether a claim with that lease has to look after the slots before.
func (o *ownership) due(lease time.Duration) bool {
	now := time.Now()
	return o.id.Load() == 0 || o.toldNow != o.told || !now.Before(o.next) ||
		o.until.Before(now.Add(lease)) || !o.others.IsZero() && o.others.Before(now)
}

// tellSQL reads told of the owner $1; -1 if its row is gone. Whoever changes the slots of another
// owner adds one to its told.
const tellSQL = `SELECT coalesce((SELECT told FROM {s}.owners WHERE id = $1::bigint), -1)`

// tell is the step that finds out whether somebody else has changed the slots.
func (s *Store) tell() step {
	return step{sql: tellSQL, args: []any{s.owns.id.Load()}, rows: one(new(bool), &s.owns.toldNow)}
}

// balance looks after the slots: it extends the lease of this process, takes over the slots of dead
// processes and others that should be its own, and gives away those that should be another's.
func (s *Store) balance(ctx context.Context, c alotwebhook.ClaimRequest) (err error) {
	if !s.owns.due(c.Lease) {
		return nil
	}
	defer func() {
		if err != nil {
			s.owns.next = time.Time{} // a move may have been made: nothing is claimed before it is known
		}
	}()
	for range 3 { // each change may be overtaken by others
		owners, slots, err := s.readOwners(ctx, c.Lease)
		if err != nil {
			return err
		}
		p := planMoves(s.owns.id.Load(), owners, slots)
		if p.isEmpty() {
			return nil
		}
		if err := s.move(ctx, p, c); err != nil {
			return err
		}
	}
	_, _, err = s.readOwners(ctx, c.Lease) // so that nothing is claimed from slots that were given away
	return err
}

// readOwners extends the lease of this process so that it outlasts a claim's lease, and
// reads who owns what.
func (s *Store) readOwners(ctx context.Context, claimLease time.Duration) (owners []owner, slots []slot, err error) {
	lease := claimLease + claimLease/8 + balanceInterval // so that claims need not extend it each time
	began := time.Now()
	id := s.owns.id.Load()
	var found bool
	if err := s.runPlain(ctx, extend(id, lease, &found), listOwners(&owners), listSlots(&slots)); err != nil {
		return nil, nil, err
	}
	if !found {
		if err := s.join(ctx, lease); err != nil {
			return nil, nil, err
		}
		return s.readOwners(ctx, claimLease)
	}
	s.owns.note(owners, began, lease)
	s.lanes.own(slots, id)
	return owners, slots, nil
}

// extend is the step that extends the lease of an owner, if its row is there still.
func extend(id int64, lease time.Duration, found *bool) step {
	return step{
		sql: `UPDATE {s}.owners SET seen = clock_timestamp(), until = greatest(until, clock_timestamp() + $2::bigint * interval '1 microsecond')
			WHERE id = $1::bigint RETURNING id`,
		args: []any{id, lease.Microseconds()},
		rows: one(found, new(int64)),
	}
}

// listOwners is the step that reads the table owners.
func listOwners(owners *[]owner) step {
	return step{
		sql: `SELECT id, told, (extract(epoch FROM until - clock_timestamp()) * 1000000)::bigint,
			seen > clock_timestamp() - $1::bigint * interval '1 microsecond' FROM {s}.owners ORDER BY id`,
		args: []any{freshness.Microseconds()},
		rows: func(rows pgx.Rows) (err error) {
			*owners, err = pgx.CollectRows(rows, scanOwner)
			return err
		},
	}
}

func scanOwner(row pgx.CollectableRow) (v owner, err error) {
	var rest int64
	err = row.Scan(&v.id, &v.told, &rest, &v.fresh)
	v.rest = time.Duration(rest) * time.Microsecond
	return v, err
}

// listSlots is the step that reads the table slots.
func listSlots(slots *[]slot) step {
	return step{sql: `SELECT slot, owner, asked FROM {s}.slots ORDER BY slot`, rows: func(rows pgx.Rows) (err error) {
		*slots, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (v slot, err error) {
			err = row.Scan(&v.number, &v.owner, &v.asked)
			return v, err
		})
		return err
	}}
}

// note notes which owners there are, as was read after began, when this process has extended
// its own lease by lease.
func (o *ownership) note(owners []owner, began time.Time, lease time.Duration) {
	o.until, o.next, o.others = began.Add(lease), began.Add(balanceInterval), time.Time{}
	for _, v := range owners {
		switch end := began.Add(v.rest); {
		case v.id == o.id.Load():
			o.told, o.toldNow = v.told, v.told
		case o.others.IsZero() || end.Before(o.others):
			o.others = end
		}
	}
}

// join makes this process an owner. If it was one, others have taken over its slots: what it
// holds is no longer its own.
func (s *Store) join(ctx context.Context, lease time.Duration) error {
	if s.owns.id.Load() != 0 {
		s.held.clear()
		s.lanes.own(nil, 0)
	}
	s.owns.id.Store(0)
	var id int64
	err := s.run(ctx, step{
		sql: `INSERT INTO {s}.owners (until, seen)
			VALUES (clock_timestamp() + $1::bigint * interval '1 microsecond', clock_timestamp()) RETURNING id`,
		args: []any{lease.Microseconds()},
		rows: one(new(bool), &id),
	})
	if err == nil {
		s.owns.id.Store(id)
	}
	return err
}

// leave gives away all slots: this process claims no more for now.
func (s *Store) leave(ctx context.Context, c alotwebhook.ClaimRequest) error {
	if s.owns.id.Load() == 0 {
		return nil
	}
	owners, slots, err := s.readOwners(ctx, c.Lease)
	if err != nil {
		return err
	}
	me := s.owns.id.Load()
	if err := s.move(ctx, planLeave(me, owners, slots), c); err != nil {
		return err
	}
	s.owns.id.Store(0)
	s.lanes.own(nil, 0)
	return nil
}
