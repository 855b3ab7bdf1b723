package sqlite

// group is a run of the history's index: one endpoint, state and type, in the
// order of the keys.
type group struct {
	endpoint, state, kind int64

	keys   []key // read ahead, newest first
	before key   // where to read on
	done   bool  // nothing more behind keys
}

// The first group behind another, found by one step into the index however
// many deliveries the groups have.
const nextGroup = `SELECT endpoint, state, type FROM alotwebhook_deliveries
	WHERE (endpoint, state, type) > (?, ?, ?) ORDER BY endpoint, state, type LIMIT 1`

// groups finds those that the filter selects; false if they are very many.
func (l *lister) groups(state int64) (groups []*group, few bool, err error) {
	refs := l.refs
	if len(refs) > maxGroups {
		return nil, false, nil
	}
	at := group{}
	for steps := 0; ; steps++ {
		if !l.all {
			if len(refs) == 0 {
				return groups, true, nil
			}
			if at.endpoint < refs[0] {
				at = group{endpoint: refs[0]}
			}
		}
		if steps > 4*maxGroups || len(groups) > maxGroups {
			return nil, false, nil
		}
		var g group
		some, err := found(l.one(nextGroup, at.endpoint, at.state, at.kind)(&g.endpoint, &g.state, &g.kind))
		if err != nil || !some {
			return groups, true, err
		}
		at = g
		for len(refs) > 0 && refs[0] < g.endpoint {
			refs = refs[1:]
		}
		wanted := l.all || len(refs) > 0 && refs[0] == g.endpoint
		if wanted && (state == 0 || g.state == state) && (l.kind == 0 || g.kind == l.kind) {
			groups = append(groups, &g)
		}
	}
}

// merge takes the newest keys of all groups.
func (l *lister) merge(groups []*group) (keys []key, err error) {
	ahead := min(max(2*l.limit/max(len(groups), 1), 4), l.limit)
	for _, g := range groups {
		g.before = l.before
	}
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

// refill reads a group's next keys when none are left.
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
