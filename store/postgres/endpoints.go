package postgres

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alot/alotwebhook"
)

// defaultPage is how many entries a page holds when its filter sets no limit.
const defaultPage = 100

// pageSize returns how many entries a page holds whose filter sets this limit.
func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, math.MaxInt32)
}

// endpointColumns are the columns of endpoints AS p that scanEndpoint reads.
const endpointColumns = `p.id, p.organization_id, p.url, p.description, p.event_types, p.secret, p.next_secret, p.next_secret_at,
	p.disabled, p.disabled_reason, p.disabled_at, p.failing_since, p.created_at, p.updated_at, p.version, p.rate, p.ordered, p.warned,
	p.credentials, p.payload_version, p.urls`

// scanEndpoint reads a row of endpointColumns. before takes the columns that stand
// in front of them.
func scanEndpoint(rows pgx.Rows, before ...any) (e alotwebhook.Endpoint, err error) {
	var nextSecretAt, disabledAt, failingSince, createdAt, updatedAt *time.Time
	err = rows.Scan(append(before, &e.ID, &e.OrganizationID, &e.URL, &e.Description, &e.EventTypes, &e.Secret, &e.NextSecret, &nextSecretAt,
		&e.Disabled, &e.DisabledReason, &disabledAt, &failingSince, &createdAt, &updatedAt, &e.Version, &e.Rate, &e.Ordered, &e.Warned,
		&e.Credentials, &e.PayloadVersion, &e.URLs)...)
	e.NextSecretAt, e.DisabledAt, e.FailingSince = instant(nextSecretAt), instant(disabledAt), instant(failingSince)
	e.CreatedAt, e.UpdatedAt = instant(createdAt), instant(updatedAt)
	return e, err
}

// instant turns a timestamp into a time in UTC, and NULL into the zero time.
func instant(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// nullable turns a time into an argument: the zero time into NULL.
func nullable(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// roundUp turns a bound of times into an argument: what is kept to the microsecond is at the bound or
// later if, and only if, it is so at the next whole microsecond. pgx rounds down.
func roundUp(t time.Time) time.Time { return t.Add(time.Microsecond - 1) }

// PutEndpoint implements [alotwebhook.Endpoints]. Disabling and enabling change no
// delivery, so that they take effect at once: an unfinished delivery is parked as
// long as its endpoint is disabled.
func (s *Store) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	put := s.insertEndpoint
	if e.Version != 0 {
		put = s.updateEndpoint
	}
	told, err := notes(ops)
	if err != nil {
		return s.explain("store an endpoint", err)
	}
	stored, err := put(ctx, e, told)
	if err != nil {
		return s.explain("store an endpoint", err)
	}
	if stored {
		s.lanes.distrust()
		return nil
	}
	current, err := s.Endpoint(ctx, e.ID)
	if err != nil {
		return err
	}
	if current.Version == e.Version {
		return fmt.Errorf("%w: endpoint %q has been failing since %v, not %v", alotwebhook.ErrConflict, e.ID, current.FailingSince, e.FailingSince)
	}
	return fmt.Errorf("%w: endpoint %q is at version %d, not %d", alotwebhook.ErrConflict, e.ID, current.Version, e.Version)
}

// endpointArgs returns the arguments of insertEndpoint and updateEndpoint: $1 to
// $13 in the order of the columns of insertEndpoint, $14 the version that the caller has
// read, $15 to $18 and $20 what came later, $19 the operations, and $21 which of its URLs this is.
func endpointArgs(e alotwebhook.Endpoint, told string) []any {
	types := e.EventTypes
	if types == nil {
		types = []string{}
	}
	return []any{e.ID, e.OrganizationID, e.URL, e.Description, types, string(e.Secret), string(e.NextSecret), nullable(e.NextSecretAt),
		e.Disabled, string(e.DisabledReason), nullable(e.FailingSince), nullable(e.CreatedAt), nullable(e.UpdatedAt), e.Version, e.Rate, e.Ordered, e.Warned,
		string(e.Credentials), told, e.PayloadVersion, e.URLs}
}

// insertEndpoint stores a new endpoint. stored is false if there is one with its id.
func (s *Store) insertEndpoint(ctx context.Context, e alotwebhook.Endpoint, told string) (stored bool, err error) {
	var version int64
	err = s.run(ctx, step{
		sql: `
			WITH stored AS (
			INSERT INTO {s}.endpoints (id, organization_id, url, description, event_types, secret, next_secret, next_secret_at,
				disabled, disabled_reason, failing_since, created_at, updated_at, version, disabled_at, rate, ordered, warned, credentials, payload_version, urls)
			VALUES ($1::text, $2::text, $3::text, $4::text, $5::text[], $6::text, $7::text, $8::timestamptz,
				$9::boolean, $10::text, $11::timestamptz, $12::timestamptz, $13::timestamptz, $14::bigint + 1,
				CASE WHEN $9::boolean THEN clock_timestamp() END, $15::float8, $16::boolean, $17::integer, $18::text, $20::text, $21::integer)
			ON CONFLICT (id) WHERE deleted_at IS NULL DO NOTHING
			RETURNING version
			), told AS (` + note(19, `EXISTS (SELECT FROM stored)`) + `)
			SELECT version FROM stored`,
		args: endpointArgs(e, told),
		rows: one(&stored, &version),
	})
	return stored, err
}

// updateEndpoint replaces an endpoint. stored is false if it is gone, has another version,
// or has been failing since another time than the one given.
func (s *Store) updateEndpoint(ctx context.Context, e alotwebhook.Endpoint, told string) (stored bool, err error) {
	var version int64
	err = s.run(ctx, step{
		sql: `
			WITH stored AS (
			UPDATE {s}.endpoints
			SET organization_id = $2::text, url = $3::text, description = $4::text, event_types = $5::text[],
				secret = $6::text, next_secret = $7::text, next_secret_at = $8::timestamptz,
				disabled = $9::boolean, disabled_reason = $10::text,
				disabled_at = CASE WHEN $9::boolean THEN CASE WHEN disabled THEN disabled_at ELSE clock_timestamp() END END,
				failing_since = CASE WHEN $9::boolean OR NOT disabled THEN failing_since END,
				created_at = $12::timestamptz, updated_at = $13::timestamptz, rate = $15::float8, ordered = $16::boolean, warned = $17::integer,
				credentials = $18::text, payload_version = $20::text, urls = $21::integer, version = version + 1, revision = revision + 1
			WHERE id = $1::text AND version = $14::bigint AND deleted_at IS NULL
				AND ($11::timestamptz IS NULL OR failing_since = $11::timestamptz)
			RETURNING key, version
			), kept AS (
			INSERT INTO {s}.urls (endpoint, number, url)
			SELECT p.key, p.urls, p.url FROM {s}.endpoints p JOIN stored ON stored.key = p.key WHERE p.urls <> $21::integer
			ON CONFLICT (endpoint, number) DO UPDATE SET url = excluded.url
			), forgotten AS (
			DELETE FROM {s}.urls u USING stored WHERE u.endpoint = stored.key AND u.number < $21::integer - ` + strconv.Itoa(keptURLs) + `
			), told AS (` + note(19, `EXISTS (SELECT FROM stored)`) + `)
			SELECT version FROM stored`,
		args: endpointArgs(e, told),
		rows: one(&stored, &version),
	})
	return stored, err
}

// Endpoint implements [alotwebhook.Endpoints].
func (s *Store) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	found, err := s.selectEndpoints(ctx, `WHERE p.id = $1::text AND p.deleted_at IS NULL`, id)
	if err != nil {
		return alotwebhook.Endpoint{}, s.explain("read an endpoint", err)
	}
	if len(found) == 0 {
		return alotwebhook.Endpoint{}, fmt.Errorf("%w: endpoint %.40q", alotwebhook.ErrNotFound, id)
	}
	return found[0], nil
}

// Endpoints implements [alotwebhook.Endpoints].
func (s *Store) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) (found []alotwebhook.Endpoint, next string, err error) {
	limit := pageSize(f.Limit)
	where, args := selectedBy(f, limit)
	found, err = s.selectEndpoints(ctx, where+` ORDER BY p.id LIMIT $2::bigint`, args...)
	if err != nil {
		return nil, "", s.explain("list endpoints", err)
	}
	if len(found) > limit {
		return found[:limit], found[limit-1].ID, nil
	}
	return found, "", nil
}

// selectedBy returns the conditions of a filter on the endpoints (p), and their arguments: $1 is the
// cursor and $2 one more than the limit.
func selectedBy(f alotwebhook.EndpointFilter, limit int) (where string, args []any) {
	where, args = `WHERE p.deleted_at IS NULL AND p.id > $1::text`, []any{f.Cursor, int64(limit) + 1}
	and := func(condition string, arg any) {
		args = append(args, arg)
		where += fmt.Sprintf(" AND "+condition, len(args))
	}
	if f.OrganizationID != "" {
		and(`p.organization_id = $%d::text`, f.OrganizationID)
	}
	if len(f.IDs) > 0 {
		and(`p.id = ANY ($%d::text[])`, f.IDs)
	}
	if f.URLPart != "" {
		and(`strpos(lower(p.url COLLATE "C"), $%d::text) > 0`, lowerASCII(f.URLPart))
	}
	// The index endpoints_troubled has these.
	switch {
	case f.Failing && f.Disabled:
		where += ` AND (p.disabled OR p.failing_since IS NOT NULL)`
	case f.Failing:
		where += ` AND NOT p.disabled AND p.failing_since IS NOT NULL`
	case f.Disabled:
		where += ` AND p.disabled`
	}
	return where, args
}

// lowerASCII is what PostgreSQL's lower does by the collation C: a Kelvin sign is no k.
func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

// selectEndpoints returns the endpoints (p) that the clause selects.
func (s *Store) selectEndpoints(ctx context.Context, where string, args ...any) (found []alotwebhook.Endpoint, err error) {
	err = s.read(ctx, step{
		sql:  `SELECT ` + endpointColumns + ` FROM {s}.endpoints p ` + where,
		args: args,
		rows: func(rows pgx.Rows) error {
			for rows.Next() {
				e, err := scanEndpoint(rows)
				if err != nil {
					return err
				}
				found = append(found, e)
			}
			return rows.Err()
		},
	})
	return found, err
}

// DeleteEndpoint implements [alotwebhook.Endpoints]. From then on, readers see the
// unfinished deliveries as failed. They leave the queue in chunks: up to 10,000
// deliveries now, the rest while later claims go on.
func (s *Store) DeleteEndpoint(ctx context.Context, id string, ops ...alotwebhook.Operation) error {
	told, err := notes(ops)
	if err != nil {
		return s.explain("delete an endpoint", err)
	}
	var found bool
	var key int64
	err = s.run(ctx, step{
		sql: `
			WITH deleted AS (
			UPDATE {s}.endpoints
			SET deleted_at = clock_timestamp(), secret = '', next_secret = '', credentials = '', version = version + 1, revision = revision + 1
			WHERE id = $1::text AND deleted_at IS NULL
			RETURNING key
			), gone AS (
			DELETE FROM {s}.urls WHERE endpoint IN (SELECT key FROM deleted)
			), told AS (` + note(2, `EXISTS (SELECT FROM deleted)`) + `)
			SELECT key FROM deleted`,
		args: []any{id, told},
		rows: one(&found, &key),
	})
	switch {
	case err != nil:
		return s.explain("delete an endpoint", err)
	case !found:
		return fmt.Errorf("%w: endpoint %.40q", alotwebhook.ErrNotFound, id)
	}
	s.lanes.distrust()
	_ = s.forgetFirst(ctx, key) // a row that is left does no harm
	for _, lane := range []int64{-key, key} {
		for range failChunks {
			if n, err := s.failDeleted(ctx, lane); err != nil || n < failAtOnce {
				break // the endpoint is deleted in any case; claims fail the rest
			}
		}
	}
	return nil
}
