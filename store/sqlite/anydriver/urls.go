package anydriver

// keptURLs is how many of the URLs that an endpoint had before are kept: it may get others as often as
// somebody changes it.
const keptURLs = 100

// keepURL keeps the URL of a stored endpoint that is about to be replaced.
func (t *txn) keepURL(ref int64) error {
	err := t.exec("DELETE FROM alotwebhook_urls WHERE endpoint = ?1 AND number <= (SELECT urls FROM alotwebhook_endpoints WHERE ref = ?1) - ?2", ref, keptURLs)
	if err != nil {
		return err
	}
	return t.exec("INSERT OR REPLACE INTO alotwebhook_urls (endpoint, number, url) SELECT ref, urls, url FROM alotwebhook_endpoints WHERE ref = ?", ref)
}

// forgetURLs forgets what keepURL has kept.
func (t *txn) forgetURLs(ref int64) error {
	return t.exec("DELETE FROM alotwebhook_urls WHERE endpoint = ?", ref)
}

// urlsOf returns the URLs of a delivery's endpoint by their numbers; none of one that is deleted.
func (t *txn) urlsOf(delivery key) (map[int]string, error) {
	urls := map[int]string{}
	err := t.each(`WITH p AS (SELECT ref, urls, url FROM alotwebhook_endpoints WHERE deleted_at IS NULL
			AND ref = abs(coalesce((SELECT endpoint FROM alotwebhook_queue WHERE id = ?1), (SELECT endpoint FROM alotwebhook_deliveries WHERE id = ?1))))
		SELECT urls, url FROM p UNION ALL SELECT u.number, u.url FROM p CROSS JOIN alotwebhook_urls u ON u.endpoint = p.ref`,
		[]any{delivery[:]}, func(scan func(...any) error) error {
			var n int
			var url string
			err := scan(&n, &url)
			urls[n] = url
			return err
		})
	return urls, err
}
