package anydriver

import (
	"context"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

var _ alotwebhook.Tallier = (*Store)(nil)

// AddTallies implements [alotwebhook.Tallier].
func (s *Store) AddTallies(ctx context.Context, tallies []alotwebhook.Tally) error {
	return s.write(ctx, "add tallies", func(t *txn) error {
		for i := range tallies {
			if err := t.addTally(&tallies[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *txn) addTally(of *alotwebhook.Tally) error {
	hour := of.Hour.UnixMicro()
	err := t.exec(addTally, of.EndpointID, hour, "", of.Succeeded, int64(of.Duration), int64(of.Slowest))
	for reason, n := range of.Reasons {
		if err == nil {
			err = t.exec(addTally, of.EndpointID, hour, string(reason), n, 0, 0)
		}
	}
	return err
}

const addTally = `INSERT INTO alotwebhook_tallies (endpoint, hour, reason, attempts, duration, slowest) VALUES (?, ?, ?, ?, ?, ?)
	ON CONFLICT DO UPDATE SET attempts = attempts + excluded.attempts, duration = duration + excluded.duration,
		slowest = max(slowest, excluded.slowest)`

// Tallies implements [alotwebhook.Tallier].
func (s *Store) Tallies(ctx context.Context, endpointIDs []string, since time.Time) (list []alotwebhook.Tally, err error) {
	endpointIDs = slices.Compact(slices.Sorted(slices.Values(endpointIDs)))
	err = s.read(ctx, "read tallies", func(t *txn) error {
		return talliesOf.split(len(endpointIDs), func(query string, from, to int) error {
			args := []any{since.UnixMicro()}
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
	return list, nil // in order, since the ids were
}

// An hour's rows follow each other, that of no reason first.
var talliesOf = batchOf(`SELECT endpoint, hour, reason, attempts, duration, slowest FROM alotwebhook_tallies
	WHERE hour >= ? AND endpoint IN (%) ORDER BY endpoint, hour, reason`, "?")

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

// purgeTallies deletes the hours that began until then.
func (t *txn) purgeTallies(until int64, limit int) (hours int, err error) {
	err = t.each(`DELETE FROM alotwebhook_tallies WHERE (endpoint, hour) IN (
			SELECT endpoint, hour FROM alotwebhook_tallies WHERE hour <= ? AND reason = '' LIMIT ?)
		RETURNING reason`, []any{until, limit}, func(scan func(...any) error) error {
		var reason string
		err := scan(&reason)
		if reason == "" {
			hours++
		}
		return err
	})
	return hours, err
}
