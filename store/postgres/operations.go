package postgres

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alot/alotwebhook"
)

// note returns a statement that stores those operations whose ids are not stored yet, if the
// condition holds. The operations come as JSON (see noted) in the parameter.
func note(parameter int, condition string) string {
	return fmt.Sprintf(`
		INSERT INTO {s}.operations (id, due_at, type, organization_id, endpoint_id, delivery_id, actor, note)
		SELECT id, CASE WHEN NOT handled THEN clock_timestamp() END, type, organization_id, endpoint_id, delivery_id, actor, note
		FROM jsonb_to_recordset($%d::text::jsonb) AS o (id uuid, handled boolean, type text, organization_id text,
			endpoint_id text, delivery_id text, actor text, note text)
		WHERE %s
		ON CONFLICT (id) DO NOTHING`, parameter, condition)
}

// noted is an operation as an argument of note.
type noted struct {
	ID             string                    `json:"id"`
	Handled        bool                      `json:"handled"`
	Type           alotwebhook.OperationType `json:"type"`
	OrganizationID string                    `json:"organization_id"`
	EndpointID     string                    `json:"endpoint_id"`
	DeliveryID     string                    `json:"delivery_id"`
	Actor          string                    `json:"actor"`
	Note           string                    `json:"note"`
}

// notes returns the argument of note.
func notes(ops []alotwebhook.Operation) (string, error) {
	list := make([]noted, len(ops))
	for i := range ops {
		o := &ops[i]
		id, ok := decodeID(operationPrefix, o.ID)
		if !ok {
			return "", fmt.Errorf("the id %.64q of an operation is not %s and %d characters of base32", o.ID, operationPrefix, suffixLen)
		}
		list[i] = noted{fmt.Sprintf("%x", id), o.Handled, o.Type, o.OrganizationID, o.EndpointID, o.DeliveryID, o.Actor, o.Note}
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// noteOperations returns the statement that stores the operations of the outcomes that were stored.
func (f *finishing) noteOperations() ([]step, error) {
	var ops []alotwebhook.Operation
	for i, o := range f.outcomes {
		if _, ok := f.endpoints[f.ids[i]]; ok && o.Operation != nil {
			ops = append(ops, *o.Operation)
		}
	}
	if len(ops) == 0 {
		return nil, nil
	}
	told, err := notes(ops)
	return []step{{sql: note(1, `true`), args: []any{told}}}, err
}

// operationColumns are the columns that scanOperation reads.
const operationColumns = `id, due_at IS NULL, claims, type, organization_id, endpoint_id, delivery_id, actor, note`

func scanOperation(rows pgx.Rows) (o alotwebhook.Operation, err error) {
	var id uuid
	err = rows.Scan(&id, &o.Handled, &o.Claims, &o.Type, &o.OrganizationID, &o.EndpointID, &o.DeliveryID, &o.Actor, &o.Note)
	o.ID, o.At = encodeID(operationPrefix, id), timeOf(id)
	return o, err
}

// Operations implements [alotwebhook.Operations]. It reads an organization's or an endpoint's
// in order, and passes over those of other types.
func (s *Store) Operations(ctx context.Context, f alotwebhook.OperationFilter) (page []alotwebhook.Operation, next string, err error) {
	limit := pageSize(f.Limit)
	reads := limit + 1
	if f.Type != "" {
		reads = limit + stretch
	}
	query, args, err := selectOperations(f, reads)
	if err != nil {
		return nil, "", err
	}
	err = s.read(ctx, step{sql: query, args: args, rows: func(rows pgx.Rows) error {
		page, next = nil, ""
		last, n := "", 0
		for ; rows.Next(); n++ {
			o, err := scanOperation(rows)
			if err != nil {
				return err
			}
			if last = o.ID; f.Type != "" && o.Type != f.Type {
				continue
			}
			if len(page) == limit {
				next = page[limit-1].ID
				return nil
			}
			page = append(page, o)
		}
		if n == reads {
			next = last
		}
		return rows.Err()
	}})
	if err != nil {
		return nil, "", s.explain("list operations", err)
	}
	return page, next, nil
}

// selectOperations returns the query for the newest operations that a filter selects, of any
// type.
func selectOperations(f alotwebhook.OperationFilter, limit int) (query string, args []any, err error) {
	var from uuid
	before := uuid{0: 0xff}
	if !f.Since.IsZero() {
		from = firstOf(f.Since)
	}
	if !f.Until.IsZero() {
		before = firstOf(f.Until)
	}
	if f.Cursor != "" {
		id, ok := decodeID(operationPrefix, f.Cursor)
		if !ok {
			return "", nil, &alotwebhook.FieldError{Field: "cursor", Problem: fmt.Sprintf("%.64q is not the id of an operation; give the cursor that came with the page before", f.Cursor)}
		}
		if bytes.Compare(id[:], before[:]) < 0 {
			before = id
		}
	}
	query = `SELECT ` + operationColumns + ` FROM {s}.operations WHERE id >= $1::uuid AND id < $2::uuid`
	args = []any{param(from), param(before), int64(limit)}
	for _, is := range [...]struct{ column, value string }{{"organization_id", f.OrganizationID}, {"endpoint_id", f.EndpointID}} {
		if is.value != "" {
			args = append(args, is.value)
			query += fmt.Sprintf(` AND %s = $%d::text`, is.column, len(args))
		}
	}
	return query + ` ORDER BY id DESC LIMIT $3::bigint`, args, nil
}

// ClaimOperations implements [alotwebhook.Operations].
func (s *Store) ClaimOperations(ctx context.Context, limit int, lease time.Duration) (claimed []alotwebhook.Operation, err error) {
	err = s.run(ctx, step{
		sql: `
			UPDATE {s}.operations SET due_at = clock_timestamp() + $2::bigint * interval '1 microsecond', claims = claims + 1
			WHERE id = ANY (ARRAY(
				SELECT id FROM {s}.operations WHERE due_at <= now() ORDER BY due_at, id LIMIT $1::bigint FOR UPDATE SKIP LOCKED))
			RETURNING ` + operationColumns,
		args: []any{int64(max(limit, 0)), lease.Microseconds()},
		rows: func(rows pgx.Rows) error {
			claimed = nil
			for rows.Next() {
				o, err := scanOperation(rows)
				if err != nil {
					return err
				}
				claimed = append(claimed, o)
			}
			return rows.Err()
		},
	})
	if err != nil {
		return nil, s.explain("claim operations", err)
	}
	slices.SortFunc(claimed, func(a, b alotwebhook.Operation) int { return cmp.Compare(a.ID, b.ID) })
	return claimed, nil
}

// FinishOperations implements [alotwebhook.Operations].
func (s *Store) FinishOperations(ctx context.Context, ids []string, again time.Duration) error {
	if len(ids) == 0 {
		return ctx.Err()
	}
	err := s.run(ctx, step{
		// $1 are the ids, $2 whether they are handled, $3 in how many µs they come again. The lock is taken
		// in the order of the ids, so that nobody deadlocks.
		sql: `
			WITH these AS MATERIALIZED (
				SELECT id FROM {s}.operations WHERE id = ANY ($1::uuid[]) AND due_at IS NOT NULL ORDER BY id FOR NO KEY UPDATE
			)
			UPDATE {s}.operations
			SET due_at = CASE WHEN NOT $2::boolean THEN clock_timestamp() + $3::bigint * interval '1 microsecond' END
			WHERE id = ANY (ARRAY(SELECT id FROM these))`,
		args: []any{decodeIDs(operationPrefix, ids), again <= 0, again.Microseconds()},
	})
	return s.explain("finish operations", err)
}

// purgeOperations deletes the operations of until or before ($1 is the first id behind them), up
// to limit ($2).
func (s *Store) purgeOperations(ctx context.Context, until time.Time, limit int, r *alotwebhook.PurgeResult) error {
	return s.run(ctx, step{
		sql: `
			WITH gone AS (
				DELETE FROM {s}.operations WHERE id = ANY (ARRAY(
					SELECT id FROM {s}.operations WHERE id < $1::uuid ORDER BY id LIMIT $2::bigint FOR UPDATE SKIP LOCKED))
				RETURNING id
			)
			SELECT count(*)::int FROM gone`,
		args: []any{param(firstOf(until.Add(time.Millisecond))), int64(limit)},
		rows: count(&r.Operations),
	})
}
