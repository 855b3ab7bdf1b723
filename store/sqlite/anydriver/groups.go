package anydriver

import (
	"iter"
	"math"
)

// group is the finished deliveries of one endpoint, state and event type. They stand
// together in the index alotwebhook_deliveries_group, in the order of their keys.
type group struct {
	endpoint, state, kind int64

	keys   []key // read ahead, newest first
	before key   // the next read goes on below this key
	done   bool  // no keys follow those read
}

// groups returns the groups that the filter selects. It finds each by one step into
// the index, however many deliveries it has. few is false if there are more than
// maxGroups; then no groups are returned.
func (l *lister) groups(state int64) (groups []*group, few bool, err error) {
	states := []int64{delivered, failed}
	if state != 0 {
		states = []int64{state}
	}
	for ref, err := range l.endpointsWithHistory() {
		if err != nil {
			return nil, false, err
		}
		for _, state := range states {
			kinds, err := l.kinds(ref, state)
			if err != nil {
				return nil, false, err
			}
			for _, kind := range kinds {
				groups = append(groups, &group{endpoint: ref, state: state, kind: kind, before: l.before})
			}
		}
		if len(groups) > maxGroups {
			return nil, false, nil
		}
	}
	return groups, true, nil
}

// endpointsWithHistory yields the selected endpoints. If all are selected, it yields
// those that have a finished delivery.
func (l *lister) endpointsWithHistory() iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		if !l.all {
			for _, ref := range l.refs {
				if !yield(ref, nil) {
					return
				}
			}
			return
		}
		ref, last := int64(math.MinInt64), int64(math.MaxInt64)
		switch l.sign {
		case "=":
			return
		case "<":
			last = -1
		case ">":
			ref = 0
		}
		for {
			some, err := found(l.one("SELECT endpoint FROM alotwebhook_deliveries WHERE endpoint > ? ORDER BY endpoint LIMIT 1", ref)(&ref))
			if err == nil && (!some || ref > last) || !yield(ref, err) {
				return
			}
		}
	}
}

// kinds returns the types of the endpoint's finished deliveries in a state, or the
// selected one, which tests need not have.
func (l *lister) kinds(endpoint, state int64) (kinds []int64, err error) {
	if l.kind != 0 && !isTests(endpoint) {
		return []int64{l.kind}, nil
	}
	for kind := int64(0); ; {
		some, err := found(l.one("SELECT type FROM alotwebhook_deliveries WHERE endpoint = ? AND state = ? AND type > ? ORDER BY type LIMIT 1",
			endpoint, state, kind)(&kind))
		if err != nil || !some {
			return kinds, err
		}
		if l.kind == 0 || l.kind == kind {
			kinds = append(kinds, kind)
		}
	}
}

// merge returns the newest keys of all groups, as many as the lister's limit.
func (l *lister) merge(groups []*group) (keys []key, err error) {
	ahead := min(max(2*l.limit/max(len(groups), 1), 4), l.limit)
	for len(keys) < l.limit {
		var newest *group
		for _, g := range groups {
			if err := l.refill(g, ahead); err != nil {
				return nil, err
			}
			if len(g.keys) > 0 && (newest == nil || newest.keys[0].less(g.keys[0])) {
				newest = g
			}
		}
		if newest == nil {
			break
		}
		keys = append(keys, newest.keys[0])
		newest.keys = newest.keys[1:]
	}
	return keys, nil
}

// refill reads the next keys of a group, up to ahead, when it has none left.
func (l *lister) refill(g *group, ahead int) (err error) {
	if len(g.keys) > 0 || g.done {
		return nil
	}
	g.keys, err = l.collect(`SELECT id FROM alotwebhook_deliveries
		WHERE endpoint = ? AND state = ? AND type = ? AND id >= ? AND id < ? ORDER BY id DESC LIMIT ?`,
		[]any{g.endpoint, g.state, g.kind, l.from[:], g.before[:], ahead})
	if err != nil {
		return err
	}
	g.done = len(g.keys) < ahead
	if !g.done {
		g.before = g.keys[ahead-1]
	}
	return nil
}
