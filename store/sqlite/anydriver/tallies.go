package anydriver

import (
	"context"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

var _ alotwebhook.Tallier = (*Store)(nil)

// ofAll stands for the endpoint in the tallies of all endpoints together.
const ofAll = ""

// AddTallies implements [alotwebhook.Tallier]. It adds to those of all endpoints together as well:
// to sum up an hour of 10,000 endpoints whenever somebody looks takes too long.
func (s *Store) AddTallies(ctx context.Context, tallies []alotwebhook.Tally) error {
	totals := map[int64]*alotwebhook.Tally{}
	for _, of := range tallies {
		hour := of.Hour.UnixMicro()
		if totals[hour] == nil {
			totals[hour] = &alotwebhook.Tally{EndpointID: ofAll, Hour: of.Hour}
		}
		totals[hour].Add(of)
	}
	return s.write(ctx, "add tallies", func(t *txn) error {
		for i := range tallies {
			if err := t.addTally(&tallies[i]); err != nil {
				return err
			}
		}
		for _, of := range totals {
			if err := t.addTally(of); err != nil {
				return err
			}
		}
		return nil
	})
}

// addTally adds a tally to the rows of its hour: one for the successes, which also
// has the durations of all attempts, and one for each reason of failures.
func (t *txn) addTally(of *alotwebhook.Tally) error {
	hour := of.Hour.UnixMicro()
	err := t.exec(addToTally, of.EndpointID, hour, "", of.Succeeded, int64(of.Duration), int64(of.Slowest))
	for reason, n := range of.Reasons {
		if err == nil {
			err = t.exec(addToTally, of.EndpointID, hour, string(reason), n, 0, 0)
		}
	}
	return err
}

// addToTally inserts a row, or adds to the one that is there.
const addToTally = `INSERT INTO alotwebhook_tallies (endpoint, hour, reason, attempts, duration, slowest) VALUES (?, ?, ?, ?, ?, ?)
	ON CONFLICT DO UPDATE SET attempts = attempts + excluded.attempts, duration = duration + excluded.duration,
		slowest = max(slowest, excluded.slowest)`

// Tallies implements [alotwebhook.Tallier].
func (s *Store) Tallies(ctx context.Context, endpointIDs []string, since time.Time) (list []alotwebhook.Tally, err error) {
	endpointIDs = slices.Compact(slices.Sorted(slices.Values(endpointIDs)))
	err = s.read(ctx, "read tallies", func(t *txn) error {
		return talliesOf.split(len(endpointIDs), func(query string, from, to int) error {
			args := []any{microsFrom(since)}
			for _, id := range endpointIDs[from:to] {
				args = append(args, id)
			}
			return t.each(query, args, func(scan func(...any) error) error {
				list, err = appendTally(list, scan)
				return err
			})
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil // in the order of the ids, since these were sorted
}

// talliesOf reads the rows of endpoints since an hour. The rows of an hour follow each
// other, the one without a reason first.
var talliesOf = batchOf(`SELECT endpoint, hour, reason, attempts, duration, slowest FROM alotwebhook_tallies
	WHERE hour >= ? AND endpoint IN (%) ORDER BY endpoint, hour, reason`, "?")

// appendTally reads a row into a tally of list. The row without a reason begins a new
// tally; those with one add it to the last tally.
func appendTally(list []alotwebhook.Tally, scan func(...any) error) ([]alotwebhook.Tally, error) {
	var endpoint string
	var reason alotwebhook.FailureReason
	var hour, attempts, duration, slowest int64
	if err := scan(&endpoint, &hour, &reason, &attempts, &duration, &slowest); err != nil {
		return nil, err
	}
	if reason == "" {
		return append(list, alotwebhook.Tally{
			EndpointID: endpoint, Hour: instant(hour), Succeeded: attempts,
			Duration: time.Duration(duration), Slowest: time.Duration(slowest),
		}), nil
	}
	last := &list[len(list)-1]
	if last.Reasons == nil {
		last.Reasons = map[alotwebhook.FailureReason]int64{}
	}
	last.Reasons[reason] = attempts
	return list, nil
}

// purgeTallies deletes the tallies of hours that began at until or before, up to limit
// of them, and returns how many. Those of all endpoints together go last.
func (t *txn) purgeTallies(until int64, limit int) (hours int, err error) {
	err = t.each(`DELETE FROM alotwebhook_tallies WHERE (endpoint, hour) IN (
			SELECT endpoint, hour FROM alotwebhook_tallies WHERE hour <= ? AND reason = '' AND endpoint <> ? LIMIT ?)
		RETURNING reason`, []any{until, ofAll, limit}, func(scan func(...any) error) error {
		var reason string
		err := scan(&reason)
		if reason == "" {
			hours++
		}
		return err
	})
	if err != nil {
		return hours, err
	}
	return hours, t.exec(`DELETE FROM alotwebhook_tallies AS t WHERE endpoint = ?1 AND hour <= ?2
		AND NOT EXISTS (SELECT 1 FROM alotwebhook_tallies WHERE hour = t.hour AND endpoint <> ?1)`, ofAll, until)
}

// removeTallies deletes the tallies of up to limit hours of an organization's endpoints, and takes them
// out of those of all endpoints together.
func (t *txn) removeTallies(organizationID string, limit int) (hours int, err error) {
	type row struct {
		endpoint string
		hour     int64
	}
	seen, totals := map[row]bool{}, map[int64]*alotwebhook.Tally{}
	err = t.each(removeTallies, []any{organizationID, limit}, func(scan func(...any) error) error {
		var of row
		var reason alotwebhook.FailureReason
		var attempts, duration, slowest int64
		err := scan(&of.endpoint, &of.hour, &reason, &attempts, &duration, &slowest)
		seen[of] = true
		gone := alotwebhook.Tally{Succeeded: attempts, Duration: time.Duration(duration), Slowest: time.Duration(slowest)}
		if reason != "" {
			gone = alotwebhook.Tally{Reasons: map[alotwebhook.FailureReason]int64{reason: attempts}}
		}
		if totals[of.hour] == nil {
			totals[of.hour] = &alotwebhook.Tally{}
		}
		totals[of.hour].Add(gone)
		return err
	})
	for hour, gone := range totals {
		if err == nil {
			err = t.subtractTally(hour, gone)
		}
	}
	return len(seen), err
}

// subtractTally takes what has gone out of the tally of all endpoints together in an hour, and deletes
// that with the last one of an endpoint.
func (t *txn) subtractTally(hour int64, gone *alotwebhook.Tally) error {
	err := t.exec(subtractFromTally, gone.Succeeded, int64(gone.Duration), hour, "")
	for reason, n := range gone.Reasons {
		if err == nil {
			err = t.exec(subtractFromTally, n, 0, hour, string(reason))
		}
	}
	for _, query := range []string{
		"DELETE FROM alotwebhook_tallies WHERE endpoint = '' AND hour = ?1 AND reason <> '' AND attempts = 0",
		`DELETE FROM alotwebhook_tallies WHERE endpoint = '' AND hour = ?1
			AND NOT EXISTS (SELECT 1 FROM alotwebhook_tallies WHERE hour = ?1 AND endpoint > '')`,
	} {
		if err == nil {
			err = t.exec(query, hour)
		}
	}
	if err != nil {
		return err
	}
	return t.exec(slowestOfOthers, hour, int64(gone.Slowest))
}

const (
	// Releases that know of no tallies of all endpoints may have added to those of endpoints alone.
	subtractFromTally = `UPDATE alotwebhook_tallies SET attempts = max(attempts - ?, 0), duration = max(duration - ?, 0)
		WHERE endpoint = '' AND hour = ? AND reason = ?`
	// slowestOfOthers looks at all tallies of an hour, but only if what has gone was the slowest.
	slowestOfOthers = `UPDATE alotwebhook_tallies
		SET slowest = coalesce((SELECT max(slowest) FROM alotwebhook_tallies WHERE hour = ?1 AND endpoint > ''), 0)
		WHERE endpoint = '' AND hour = ?1 AND reason = '' AND slowest <= ?2`
)
