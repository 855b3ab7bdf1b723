package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/alot/alotwebhook"
)

// Count implements [alotwebhook.Surveyor]. By indexes it finds the deliveries of an organization, of
// an endpoint and of an event, and failed ones where they are few. The time in the events' ids says
// which days it has to look at. Otherwise it goes through the whole queue, or the whole history.
//
// What a deleted endpoint has left in the queue is not counted: nobody can send it again, and claims
// move it into the history.
func (s *Store) Count(ctx context.Context, r alotwebhook.Recovery) (c alotwebhook.Count, err error) {
	f := selection(&r)
	l, err := listingOf(f)
	if err != nil {
		return c, err
	}
	err = s.runPlain(ctx, prune, step{sql: l.count(f, &r), args: l.args, rows: one(new(bool), &c.Deliveries, &c.Endpoints, &c.Organizations)})
	return c, s.explain("count deliveries", err)
}

// selection returns what a filter can say of the deliveries that r selects.
func selection(r *alotwebhook.Recovery) alotwebhook.Filter {
	f := alotwebhook.Filter{
		OrganizationID: r.OrganizationID, EndpointID: r.EndpointID, EventID: r.EventID, EventType: r.EventType,
		State: alotwebhook.StateFailed, Since: r.Since, Until: r.Until,
	}
	if strings.HasPrefix(r.EndpointID, manyPrefix) {
		f.EndpointID = ""
	}
	if r.State == alotwebhook.RecoveryCanceling {
		f.State = alotwebhook.StateUnfinished
	}
	return f
}

// count returns the query that counts what the filter and r select. It counts by endpoint first,
// and looks at organizations then.
func (l *listing) count(f alotwebhook.Filter, r *alotwebhook.Recovery) string {
	table, of := "queue d", "p.deleted_at IS NULL"
	if f.State == alotwebhook.StateFailed {
		table, of = "deliveries d", "true"
		l.failed(r)
	} else if r.Reason != "" {
		l.residual = append(l.residual, "{d}.attempts > 0 AND "+lastReason+" = "+l.bind("text", string(r.Reason)))
	}
	if l.owned {
		l.residual = append(l.residual, "{d}.endpoint = ANY (ARRAY(SELECT p.key FROM ("+owners(f, l.bind)+") AS p))")
	}
	return fmt.Sprintf(`
		SELECT coalesce(sum(d.n), 0)::bigint, count(DISTINCT p.id), count(DISTINCT p.organization_id)
		FROM (
			SELECT d.endpoint, count(*) AS n FROM {s}.%s
			WHERE d.id >= %s AND d.id < %s AND %s
			GROUP BY d.endpoint
		) AS d
		JOIN {s}.endpoints p ON p.key = d.endpoint AND %s`,
		table, l.bind("uuid", param(l.from)), l.bind("uuid", param(l.before)), l.conditions("d"), of)
}

// lastReason is why the last attempt of an unfinished delivery failed.
const lastReason = `(SELECT a.reason FROM {s}.attempts a WHERE a.delivery_id = {d}.id ORDER BY a.number DESC LIMIT 1)`

// failed adds the conditions of r that only failed deliveries can meet.
func (l *listing) failed(r *alotwebhook.Recovery) {
	l.residual = append(l.residual, "NOT {d}.delivered")
	if r.Reason == "" {
		unwanted := []string{string(alotwebhook.ReasonDiscarded), string(alotwebhook.ReasonCanceled)}
		l.residual = append(l.residual, "{d}.reason <> ALL ("+l.bind("text[]", unwanted)+")")
	} else {
		reason := l.bind("text", string(r.Reason))
		l.residual = append(l.residual, "({d}.reason = "+reason+" OR {d}.reason = '' AND {d}.number = 0 AND "+lastReason+" = "+reason+")")
	}
	if !r.FailedSince.IsZero() {
		l.residual = append(l.residual, "{d}.finished_at >= "+l.bind("timestamptz", roundUp(r.FailedSince)))
	}
	if !r.FailedUntil.IsZero() {
		l.residual = append(l.residual, "{d}.finished_at < "+l.bind("timestamptz", roundUp(r.FailedUntil)))
	}
}
