package anydriver

import (
	"slices"
	"time"
)

// slotCount is how many slots there are. The table slots has as many rows.
const slotCount = 32

const (
	// askedLately is how long an owner is given slots after it has said that it misses some.
	askedLately = 3 * time.Second
	// notFetched is how long a slot that was given away waits for the store that should own it.
	// Then any store takes it.
	notFetched = 2 * time.Second
)

func slotOf(endpoint int64) int { return int(endpointOf(endpoint) % slotCount) }

// owner is a row of the table owners, slot one of the table slots.
type (
	owner struct {
		id, until, asked int64
		file             string
	}
	slot struct{ owner, freed int64 }
)

// census holds the rows of both tables as of one moment.
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

// plan lists the changes that a store has to make in the tables.
type plan struct {
	dead       []owner // their time is up
	take, give []int   // slots
	ask        bool    // it is to say that it misses some
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

// moveSlots writes who owns the slots that the owner me takes or gives, into found as well.
func (t *txn) moveSlots(me int64, p *plan, found *census) error {
	for _, i := range p.take {
		found.slots[i] = slot{owner: me}
	}
	for _, i := range p.give {
		found.slots[i] = slot{freed: t.now}
	}
	for _, i := range slices.Concat(p.take, p.give) {
		to := found.slots[i]
		if err := t.exec("UPDATE alotwebhook_slots SET owner = ?, freed = ? WHERE slot = ?", to.owner, to.freed, i); err != nil {
			return err
		}
	}
	return nil
}
