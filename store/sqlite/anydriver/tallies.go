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
