package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/alot/alotwebhook"
)

// endpointCache holds copies of endpoints by key. A copy holds as long as the
// endpoint's row has the same revision, which claimSQL returns with each delivery:
// so a claim reads only endpoints that are new or changed.
type endpointCache map[int64]cachedEndpoint

type cachedEndpoint struct {
	revision int64 // counted up by each change of the row, failing_since included
	endpoint *alotwebhook.Endpoint
}

// maxCachedEndpoints is how many endpoints the cache holds before it is emptied:
// about ten megabytes.
const maxCachedEndpoints = 10_000

// missing returns the keys of the rows' endpoints that the cache does not have in
// their present revision.
func (c endpointCache) missing(rows []row) (keys []int64) {
	if len(c) > maxCachedEndpoints {
		clear(c)
	}
	asked := map[int64]bool{}
	for _, r := range rows {
		key := endpointOf(r.endpoint)
		if cached, ok := c[key]; !(ok && cached.revision == r.revision) && !asked[key] {
			asked[key] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// fetch returns the statement that reads the endpoints with these keys ($1) into
// the cache.
func (c endpointCache) fetch(keys []int64) step {
	return step{
		sql:  `SELECT key, revision, ` + endpointColumns + ` FROM {s}.endpoints p WHERE key = ANY ($1::bigint[])`,
		args: []any{keys},
		rows: func(rows pgx.Rows) error {
			for rows.Next() {
				var key, revision int64
				e, err := scanEndpoint(rows, &key, &revision)
				if err != nil {
					return err
				}
				c[key] = cachedEndpoint{revision, &e}
			}
			return rows.Err()
		},
	}
}
