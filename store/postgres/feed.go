package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/alot/alotwebhook/feed"
)

// The order of a feed is that of the transactions that stored the events, by their numbers (xid8),
// and within one that of the ids. A page ends before the oldest transaction that is open, in
// whatever database of the server: each one before it has committed or rolled back, so that nothing
// can come among what it has stored. Prepared transactions are open. One that only reads has no number.

var _ feed.Feeder = (*Store)(nil)

const (
	// feedStretch is how many events of an organization are looked at for a page of its feed.
	feedStretch = 1000
	// feedBytes is from how many bytes of payload on a page ends.
	feedBytes = 4 << 20
)

// inOrder has the planner take the events from the index in its order. It would fetch and sort all those
// of an organization otherwise, if it believes that these are few.
var inOrder = step{sql: `SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true)`}

// Feed implements [feed.Feeder]. An event is held back while a transaction is open, anywhere on
// the server, that has begun to write before the event's.
func (s *Store) Feed(ctx context.Context, f feed.Filter) (feed.Page, error) {
	r := feeding{filter: f}
	if err := r.parse(f.Cursor); err != nil {
		return feed.Page{}, err
	}
	err := s.inOneSnapshot(ctx, func(ask func(...step) error) error {
		r.page, r.passed = feed.Page{}, nil
		if err := ask(inOrder, r.look(s.quoted), r.pass()); err != nil {
			return err
		}
		if err := r.check(s.schema); err != nil {
			return err
		}
		ids := r.choose()
		if len(ids) == 0 {
			return nil
		}
		return ask(r.read(ids))
	})
	if err != nil {
		return feed.Page{}, s.explainFeed("list events", err)
	}
	return r.page, nil
}

// feeding is a call of Feed.
type feeding struct {
	filter feed.Filter
	// The place where the page begins, behind this event of that transaction. table is the number of
	// the table of events, which is another one in a database that was restored from a dump.
	table int64
	after uint64
	id    uuid

	known      int64  // the number of the table
	open, next uint64 // the oldest open transaction, and the one that begins next
	newest     uint64 // the transaction of the organization's last event
	passed     []fedEvent
	page       feed.Page
}

// fedEvent is an event of a feed, without its payload.
type fedEvent struct {
	id     uuid
	by     uint64
	kind   string
	length int
}

// parse reads a cursor.
func (r *feeding) parse(cursor string) error {
	if cursor == "" {
		return nil
	}
	parts := strings.Split(cursor, "-")
	if len(parts) != 3 {
		return unknownPlace(cursor)
	}
	var errs [2]error
	var ok bool
	r.table, errs[0] = strconv.ParseInt(parts[0], 10, 64)
	r.after, errs[1] = strconv.ParseUint(parts[1], 10, 64)
	if r.id, ok = decodeID(eventPrefix, eventPrefix+parts[2]); !ok || errs != [2]error{} {
		return unknownPlace(cursor)
	}
	return nil
}

func unknownPlace(cursor string) error {
	return fmt.Errorf("%w: %.64q is no place in the feeds of this database", feed.ErrCursorExpired, cursor)
}

// explainFeed is explain for errors that may be a refusal of a cursor.
func (s *Store) explainFeed(doing string, err error) error {
	if errors.Is(err, feed.ErrCursorExpired) {
		return err
	}
	return s.explain(doing, err)
}

// spell spells the place behind an event of a transaction.
func (r *feeding) spell(by uint64, id uuid) string {
	return fmt.Sprintf("%d-%d-%s", r.known, by, strings.TrimPrefix(encodeID(eventPrefix, id), eventPrefix))
}

// look reads what the place and the end of the page are judged by. $1 is the table, $2 the
// organization.
func (r *feeding) look(schema string) step {
	return step{
		sql: `SELECT to_regclass($1::text)::oid::bigint, pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text, coalesce((
				SELECT e.stored_by::text FROM {s}.events e WHERE e.organization_id = $2::text AND e.payload IS NOT NULL
				ORDER BY e.organization_id DESC, e.stored_by DESC, e.id DESC LIMIT 1), '0')
			FROM pg_current_snapshot() AS s`,
		args: []any{schema + ".events", r.filter.OrganizationID},
		rows: func(rows pgx.Rows) error {
			var found bool
			var open, next, newest string
			if err := one(&found, &r.known, &open, &next, &newest)(rows); err != nil {
				return err
			}
			for into, text := range map[*uint64]string{&r.open: open, &r.next: next, &r.newest: newest} {
				var err error
				if *into, err = strconv.ParseUint(text, 10, 64); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// check refuses a place that is none of this database.
func (r *feeding) check(schema string) error {
	if r.filter.Cursor != "" && (r.table != r.known || r.after > r.next) {
		return unknownPlace(r.filter.Cursor)
	}
	if r.newest >= r.next {
		return fmt.Errorf("the events were restored from a dump of another server, whose transactions have other numbers: "+
			"execute UPDATE %s.events SET stored_by = '0' once; docs/operating.md says why", quoted(schema))
	}
	return nil
}

// pass returns the statement that finds the events behind the place, up to feedStretch and one more.
func (r *feeding) pass() step {
	var from uuid
	if !r.filter.Since.IsZero() {
		from = firstOf(r.filter.Since)
	}
	return step{
		// $1 is the organization, $2 and $3 are the place, $4 is the least id, $5 how many events.
		sql: `SELECT e.id, e.stored_by::text, e.type, octet_length(e.payload)
			FROM {s}.events e
			WHERE e.organization_id = $1::text AND e.payload IS NOT NULL AND (e.stored_by, e.id) > ($2::text::xid8, $3::uuid)
				AND e.stored_by < pg_snapshot_xmin(pg_current_snapshot()) AND e.id >= $4::uuid AND e.test IS NULL
			ORDER BY e.organization_id, e.stored_by, e.id LIMIT $5::bigint`,
		args: []any{r.filter.OrganizationID, strconv.FormatUint(r.after, 10), param(r.id), param(from), int64(feedStretch + 1)},
		rows: func(rows pgx.Rows) error {
			var e fedEvent
			var by string
			_, err := pgx.ForEachRow(rows, []any{&e.id, &by, &e.kind, &e.length}, func() (err error) {
				e.by, err = strconv.ParseUint(by, 10, 64)
				r.passed = append(r.passed, e)
				return err
			})
			return err
		},
	}
}

// choose returns the ids of the events of the page, and ends it.
func (r *feeding) choose() (ids []pgtype.UUID) {
	left, size := pageSize(r.filter.Limit), 0
	r.page.Next = r.spell(r.open, uuid{}) // nothing older comes any more
	for i, e := range r.passed {
		if left == 0 || i == feedStretch || size >= feedBytes {
			last := r.passed[i-1]
			r.page.Next, r.page.More = r.spell(last.by, last.id), true
			break
		}
		if r.filter.EventTypes == nil || slices.Contains(r.filter.EventTypes, e.kind) {
			ids = append(ids, param(e.id))
			left--
			size += e.length
		}
	}
	return ids
}

// read returns the statement that reads the events $1, whose ids are between $2 and $3.
func (r *feeding) read(ids []pgtype.UUID) step {
	least, most := ids[0], ids[0]
	for _, id := range ids {
		if slices.Compare(id.Bytes[:], least.Bytes[:]) < 0 {
			least = id
		}
		if slices.Compare(id.Bytes[:], most.Bytes[:]) > 0 {
			most = id
		}
	}
	return step{
		sql: `SELECT payload, trace_parent, subject FROM {s}.events
			WHERE id = ANY ($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid AND payload IS NOT NULL ORDER BY stored_by, id`,
		args: []any{ids, least, most},
		rows: func(rows pgx.Rows) error {
			var payload string
			var trace, subject zeronull.Text
			_, err := pgx.ForEachRow(rows, []any{&payload, &trace, &subject}, func() error {
				e, err := parsePayload(payload)
				e.TraceParent, e.Subject = string(trace), string(subject)
				r.page.Events = append(r.page.Events, e)
				return err
			})
			return err
		},
	}
}
