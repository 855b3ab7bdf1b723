package postgres

import "github.com/jackc/pgx/v5"

// addURL adds which of its URLs an endpoint had. The first one, which most have still, is NULL.
func (a *outcomeArgs) addURL(number int) {
	if number == 0 {
		a.urls = append(a.urls, nil)
		return
	}
	n := int32(number)
	a.urls, a.moved = append(a.urls, &n), true
}

// urlsOrNone returns the numbers, or none if all are NULL, which stands for the same.
func (a *outcomeArgs) urlsOrNone() []*int32 {
	if !a.moved {
		return []*int32{}
	}
	return a.urls
}

// keptURLs is how many of the URLs that an endpoint had before are kept: it may get others as often as
// somebody changes it.
const keptURLs = 100

// urlsOf returns the statement that reads the URLs of the endpoint of a delivery by their numbers; none
// if it is deleted.
func urlsOf(id uuid, urls map[int]string) step {
	return step{
		sql: `
			WITH p AS MATERIALIZED (
				SELECT p.key, p.urls, p.url FROM {s}.endpoints p
				WHERE p.key = (SELECT abs(endpoint) FROM {s}.queue WHERE id = $1::uuid UNION ALL SELECT abs(endpoint) FROM {s}.deliveries WHERE id = $1::uuid LIMIT 1)
					AND p.deleted_at IS NULL
			)
			SELECT urls, url FROM p
			UNION ALL
			SELECT u.number, u.url FROM p JOIN {s}.urls u ON u.endpoint = p.key`,
		args: []any{param(id)},
		rows: func(rows pgx.Rows) error {
			var n int
			var url string
			_, err := pgx.ForEachRow(rows, []any{&n, &url}, func() error {
				urls[n] = url
				return nil
			})
			return err
		},
	}
}
