package postgres

// The tests of an endpoint stand in a lane of their own, in the queue and in the history: their
// column endpoint holds the negative of its key. So whoever goes by the keys of endpoints has no
// part of them, and nothing else pays for them.

// endpointOf returns the key of the endpoint of a lane.
func endpointOf(lane int64) int64 { return max(lane, -lane) }

// isTests reports whether a lane is that of tests.
func isTests(lane int64) bool { return lane < 0 }

// addLanes adds the lanes of a selected endpoint. shown says whether its unfinished deliveries are in
// the wanted state, and testsShown the same of its tests.
func (l *listing) addLanes(key int64, shown, testsShown bool) {
	l.owners++
	add := func(lane int64, wanted, shown bool) {
		if !wanted {
			return
		}
		if l.keys = append(l.keys, lane); shown {
			l.unfinished = append(l.unfinished, lane)
		}
	}
	add(key, !l.onlyTests, shown)
	add(-key, !l.noTests, testsShown)
}
