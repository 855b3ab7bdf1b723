package postgres

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
)

// slotCount is how many slots there are. The table slots has as many rows.
const slotCount = 256

func slotOf(endpoint int64) int { return int(endpointOf(endpoint) % slotCount) }

// slot is a row of the table slots.
type slot struct {
	number int32
	owner  int64
	asked  bool
}

// moves says which slots change hands: slots[i] goes from the owner from[i] to the owner to[i], of
// whom 0 stands for nobody.
type moves struct {
	me     int64
	dead   []int64 // owners whose lease has run out
	gone   []int64 // owners without a row: somebody has deleted it, or they have only just come
	slots  []int32
	from   []int64
	to     []int64
	asked  []int32 // own slots of which somebody wants to know what is under way
	leaves bool    // this process claims no more
}

func (m *moves) isEmpty() bool {
	return len(m.slots) == 0 && len(m.dead) == 0 && len(m.asked) == 0 && !m.leaves
}

// planMoves returns the moves that are this process's to make: those of slots that belong to
// nobody or to a dead owner, and those of its own slots that another should own.
func planMoves(me int64, owners []owner, slots []slot) *moves {
	m := &moves{me: me}
	for _, o := range owners {
		if o.id != me && o.rest <= 0 {
			m.dead = append(m.dead, o.id)
		}
	}
	m.plan(append(othersAlive(me, owners), me), owners, slots)
	return m
}

// planLeave returns the moves of a process that leaves: those of all its slots.
func planLeave(me int64, owners []owner, slots []slot) *moves {
	m := &moves{me: me, leaves: true}
	m.plan(othersAlive(me, owners), owners, slots)
	return m
}

// othersAlive returns the owners other than me that may be given slots.
func othersAlive(me int64, owners []owner) (ids []int64) {
	for _, o := range owners {
		if o.id != me && o.rest > 0 && o.fresh {
			ids = append(ids, o.id)
		}
	}
	return ids
}

// plan fills in the moves of slots to the heirs, who are the owners that share all slots.
func (m *moves) plan(heirs []int64, owners []owner, slots []slot) {
	known := map[int64]bool{}
	for _, o := range owners {
		known[o.id] = true
	}
	for _, v := range slots {
		if v.owner == m.me && v.asked {
			m.asked = append(m.asked, v.number)
		}
		if v.owner != 0 && !known[v.owner] {
			known[v.owner] = true
			m.gone = append(m.gone, v.owner)
		}
		mine := v.owner == m.me || v.owner == 0 || slices.Contains(m.dead, v.owner) || slices.Contains(m.gone, v.owner)
		if to := heir(v.number, heirs); mine && to != v.owner {
			m.slots, m.from, m.to = append(m.slots, v.number), append(m.from, v.owner), append(m.to, to)
		}
	}
}

// heir returns which of the owners a slot should have: all processes come to the same one
// (rendezvous hashing), and few slots move when one comes or goes. 0 if there are none.
func heir(number int32, owners []int64) (best int64) {
	var most uint64
	for _, id := range owners {
		h := fnv.New64a()
		var b [12]byte
		binary.BigEndian.PutUint32(b[:], uint32(number))
		binary.BigEndian.PutUint64(b[4:], uint64(id))
		_, _ = h.Write(b[:])
		weight := mix(h.Sum64())
		if best == 0 || weight > most || weight == most && id < best {
			best, most = id, weight
		}
	}
	return best
}

// mix spreads the bits of a hash whose inputs differ little (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// keep drops the moves from owners that are neither dead nor gone nor this process.
func (m *moves) keep(dead []int64) {
	kept := moves{}
	for i, from := range m.from {
		if from == m.me || from == 0 || slices.Contains(dead, from) {
			kept.slots, kept.from, kept.to = append(kept.slots, m.slots[i]), append(kept.from, from), append(kept.to, m.to[i])
		}
	}
	m.slots, m.from, m.to = kept.slots, kept.from, kept.to
}

// mine returns the own slots that are given away or asked for.
func (m *moves) mine() map[int32]bool {
	slots := map[int32]bool{}
	for i, from := range m.from {
		if from == m.me {
			slots[m.slots[i]] = true
		}
	}
	for _, number := range m.asked {
		slots[number] = true
	}
	return slots
}

// of returns the slots that these owners lose.
func (m *moves) of(owners []int64) (slots []int32) {
	for i, from := range m.from {
		if slices.Contains(owners, from) {
			slots = append(slots, m.slots[i])
		}
	}
	return slots
}

// others returns the owners other than me that get slots.
func (m *moves) others(me int64) (ids []int64) {
	for _, to := range m.to {
		if to != me && to != 0 && !slices.Contains(ids, to) {
			ids = append(ids, to)
		}
	}
	return ids
}
