package anydriver

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

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

// PutEndpoint implements [alotwebhook.Endpoints].
func (s *Store) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	return s.write(ctx, "store an endpoint", func(t *txn) error {
		var ref int64
		var stored alotwebhook.Endpoint
		var failing, disabledAt sql.NullInt64
		err := t.one(`SELECT ref, version, disabled, disabled_at, failing_since, urls FROM alotwebhook_endpoints
			WHERE id = ? AND deleted_at IS NULL`, e.ID)(&ref, &stored.Version, &stored.Disabled, &disabledAt, &failing, &stored.URLs)
		missing := errors.Is(err, sql.ErrNoRows)
		switch {
		case err != nil && !missing:
			return err
		case missing && e.Version != 0:
			return notFound("endpoint", e.ID)
		}
		next := e
		if !missing {
			stored.DisabledAt, stored.FailingSince = optional(disabledAt), optional(failing)
			if next, err = replacement(stored, e); err != nil {
				return err
			}
		}
		switch {
		case !next.Disabled:
			next.DisabledAt = time.Time{}
		case stored.DisabledAt.IsZero():
			next.DisabledAt = instant(t.now)
		default:
			next.DisabledAt = stored.DisabledAt
		}
		if !missing && next.URLs != stored.URLs {
			if err := t.keepURL(ref); err != nil {
				return err
			}
		}
		if ref, err = t.putEndpoint(ref, next); err != nil {
			return err
		}
		if err := t.subscribe(ref, next); err != nil {
			return err
		}
		return t.note(ops...)
	})
}

// replacement returns the endpoint as it is to be stored in the place of the stored one,
// or an [alotwebhook.ErrConflict] if that was changed since next was read.
func replacement(stored, next alotwebhook.Endpoint) (alotwebhook.Endpoint, error) {
	switch {
	case stored.Version != next.Version:
		return next, fmt.Errorf("%w: endpoint %q is at version %d, not %d", alotwebhook.ErrConflict, next.ID, stored.Version, next.Version)
	case !next.FailingSince.IsZero() && next.FailingSince.UnixMicro() != stored.FailingSince.UnixMicro():
		return next, fmt.Errorf("%w: endpoint %q has been failing since %v, not %v", alotwebhook.ErrConflict, next.ID, stored.FailingSince, next.FailingSince)
	}
	next.FailingSince = stored.FailingSince
	if stored.Disabled && !next.Disabled {
		next.FailingSince = time.Time{}
	}
	return next, nil
}

// liveEndpoint finds an endpoint that is not deleted, by its id.
const liveEndpoint = "SELECT ref, version FROM alotwebhook_endpoints WHERE id = ? AND deleted_at IS NULL"

// putEndpoint inserts or replaces an endpoint's row and returns its ref. The ref
// given is 0 for a new endpoint.
func (t *txn) putEndpoint(ref int64, e alotwebhook.Endpoint) (int64, error) {
	types, err := json.Marshal(e.EventTypes)
	if err != nil {
		return 0, err
	}
	var old any // for NULL, SQLite chooses the ref of a new row
	if ref != 0 {
		old = ref
	}
	err = t.one(`INSERT INTO alotwebhook_endpoints (ref, id, organization, version, active, failing_since, url, description,
			event_types, secret, next_secret, next_secret_at, disabled, disabled_reason, disabled_at, created_at, updated_at, rate, ordered, warned, credentials, payload_version, urls)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (ref) DO UPDATE SET organization = excluded.organization, version = excluded.version,
			active = excluded.active, failing_since = excluded.failing_since, url = excluded.url,
			description = excluded.description, event_types = excluded.event_types, secret = excluded.secret,
			next_secret = excluded.next_secret, next_secret_at = excluded.next_secret_at,
			disabled = excluded.disabled, disabled_reason = excluded.disabled_reason, disabled_at = excluded.disabled_at,
			created_at = excluded.created_at, updated_at = excluded.updated_at, rate = excluded.rate, ordered = excluded.ordered, warned = excluded.warned,
			credentials = excluded.credentials, payload_version = excluded.payload_version, urls = excluded.urls
		RETURNING ref`,
		old, e.ID, e.OrganizationID, e.Version+1, !e.Disabled, micros(e.FailingSince), e.URL, e.Description,
		string(types), string(e.Secret), string(e.NextSecret), micros(e.NextSecretAt), e.Disabled, string(e.DisabledReason),
		micros(e.DisabledAt), micros(e.CreatedAt), micros(e.UpdatedAt), e.Rate, e.Ordered, e.Warned, string(e.Credentials), e.PayloadVersion, e.URLs)(&ref)
	return ref, err
}

// subscribe replaces the subscriptions of an endpoint.
func (t *txn) subscribe(ref int64, e alotwebhook.Endpoint) error {
	if err := t.unsubscribe(ref); err != nil {
		return err
	}
	for _, name := range e.EventTypes {
		err := t.exec("INSERT OR IGNORE INTO alotwebhook_subscriptions (organization, type, endpoint) VALUES (?, ?, ?)", e.OrganizationID, name, ref)
		if err != nil {
			return err
		}
	}
	return nil
}

// outdate makes the catalogues of all processes out of date.
func (t *txn) outdate() error {
	t.forget()
	return t.exec("UPDATE alotwebhook_changes SET endpoints = endpoints + ?", 1)
}

// unsubscribe deletes the subscriptions of an endpoint. Every change of an endpoint
// passes here.
func (t *txn) unsubscribe(ref int64) error {
	if err := t.outdate(); err != nil {
		return err
	}
	return t.exec("DELETE FROM alotwebhook_subscriptions WHERE endpoint = ?", ref)
}

// endpointColumns are the columns that scanEndpoint reads.
const endpointColumns = `id, organization, version, failing_since, url, description, event_types, secret,
	next_secret, next_secret_at, disabled, disabled_reason, disabled_at, created_at, updated_at, rate, ordered, warned, credentials, payload_version, urls`

func scanEndpoint(scan func(...any) error) (alotwebhook.Endpoint, error) {
	var e alotwebhook.Endpoint
	var types []byte
	var failing, next, disabledAt, created, updated sql.NullInt64
	err := scan(&e.ID, &e.OrganizationID, &e.Version, &failing, &e.URL, &e.Description, &types, &e.Secret,
		&e.NextSecret, &next, &e.Disabled, &e.DisabledReason, &disabledAt, &created, &updated, &e.Rate, &e.Ordered, &e.Warned,
		&e.Credentials, &e.PayloadVersion, &e.URLs)
	if err != nil {
		return e, err
	}
	e.FailingSince, e.NextSecretAt, e.DisabledAt = optional(failing), optional(next), optional(disabledAt)
	e.CreatedAt, e.UpdatedAt = optional(created), optional(updated)
	return e, json.Unmarshal(types, &e.EventTypes)
}

// optional turns a stored time into a time, and NULL into the zero time.
func optional(micros sql.NullInt64) time.Time {
	if !micros.Valid {
		return time.Time{}
	}
	return instant(micros.Int64)
}

// Endpoint implements [alotwebhook.Endpoints].
func (s *Store) Endpoint(ctx context.Context, id string) (e alotwebhook.Endpoint, err error) {
	err = s.read(ctx, "read an endpoint", func(t *txn) error {
		e, err = scanEndpoint(t.one("SELECT "+endpointColumns+" FROM alotwebhook_endpoints WHERE id = ? AND deleted_at IS NULL", id))
		if errors.Is(err, sql.ErrNoRows) {
			return notFound("endpoint", id)
		}
		return err
	})
	return e, err
}

// Endpoints implements [alotwebhook.Endpoints].
func (s *Store) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) (page []alotwebhook.Endpoint, next string, err error) {
	limit := pageSize(f.Limit)
	query, args, err := selectEndpoints(f)
	if err != nil {
		return nil, "", err
	}
	err = s.read(ctx, "list endpoints", func(t *txn) error {
		return t.each(query+" ORDER BY id LIMIT ?", append(args, limit+1), func(scan func(...any) error) error {
			e, err := scanEndpoint(scan)
			page = append(page, e)
			return err
		})
	})
	if err != nil {
		return nil, "", err
	}
	if len(page) > limit {
		page = page[:limit]
		next = page[limit-1].ID
	}
	return page, next, nil
}

// isFailing and isDisabled are conditions of endpoints. Each has an index in the order of the ids.
const (
	isFailing  = "active = 1 AND failing_since IS NOT NULL"
	isDisabled = "active = 0 AND deleted_at IS NULL"
)

// selectEndpoints returns the query for the endpoints that a filter selects. Two that are joined by
// UNION ALL are read side by side, each in the order of its index.
func selectEndpoints(f alotwebhook.EndpointFilter) (query string, args []any, err error) {
	query, args = "SELECT "+endpointColumns+" FROM alotwebhook_endpoints WHERE id > ? AND deleted_at IS NULL", []any{f.Cursor}
	if f.OrganizationID != "" {
		query, args = query+" AND organization = ?", append(args, f.OrganizationID)
	}
	if len(f.IDs) > 0 {
		ids, err := json.Marshal(f.IDs)
		if err != nil {
			return "", nil, err
		}
		query, args = query+" AND id IN (SELECT value FROM json_each(?))", append(args, string(ids))
	}
	if f.URLPart != "" {
		query, args = query+" AND instr(lower(url), ?) > 0", append(args, lowerASCII(f.URLPart))
	}
	switch {
	case f.Failing && f.Disabled:
		return query + " AND " + isFailing + " UNION ALL " + query + " AND " + isDisabled, append(args, args...), nil
	case f.Failing:
		query += " AND " + isFailing
	case f.Disabled:
		query += " AND " + isDisabled
	}
	return query, args, nil
}

// lowerASCII is what SQLite's lower returns: [strings.ToLower] for the ASCII letters alone.
func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

// DeleteEndpoint implements [alotwebhook.Endpoints]. The endpoint is gone at once. Its
// unfinished deliveries are then failed, 1,000 in a transaction, so that everything
// else goes on in between. If the process ends before that is done, the next one
// that opens the database does the rest.
func (s *Store) DeleteEndpoint(ctx context.Context, id string, ops ...alotwebhook.Operation) error {
	var ref int64
	err := s.write(ctx, "delete an endpoint", func(t *txn) error {
		var version int64
		err := t.one(liveEndpoint, id)(&ref, &version)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound("endpoint", id)
		}
		if err != nil {
			return err
		}
		if err := t.deleteEndpoint(ref); err != nil {
			return err
		}
		return t.note(ops...)
	})
	if err != nil {
		return err
	}
	return s.failBacklog(ctx, ref)
}

// deleteEndpoint leaves nothing of an endpoint but its number, its id and its organization, by which
// its history is found.
func (t *txn) deleteEndpoint(ref int64) error {
	if err := t.unsubscribe(ref); err != nil {
		return err
	}
	if err := t.exec("DELETE FROM alotwebhook_firsts WHERE endpoint = ?", ref); err != nil {
		return err
	}
	if err := t.forgetURLs(ref); err != nil {
		return err
	}
	return t.exec(`UPDATE alotwebhook_endpoints SET active = 0, deleted_at = ?, url = '', description = '',
		event_types = '[]', secret = '', next_secret = '', credentials = '' WHERE ref = ?`, t.now, ref)
}
