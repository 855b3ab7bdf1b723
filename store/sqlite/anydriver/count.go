package anydriver

import (
	"context"

	"github.com/alot/alotwebhook"
)

// Count implements [alotwebhook.Surveyor].
func (s *Store) Count(ctx context.Context, r alotwebhook.Recovery) (c alotwebhook.Count, err error) {
	f := alotwebhook.Filter{
		OrganizationID: r.OrganizationID, EndpointID: r.EndpointID, EventID: r.EventID, EventType: r.EventType,
		Since: r.Since, Until: r.Until, NoTests: true,
	}
	if overMany(r.EndpointID) {
		f.EndpointID = ""
	}
	err = s.read(ctx, "count what a recovery selects", func(t *txn) error {
		l := lister{txn: t}
		if some, err := l.narrow(f); err != nil || !some {
			return err
		}
		from, args := l.selected(&r)
		return t.one(`SELECT coalesce(sum(n), 0), count(*), count(DISTINCT e.organization)
			FROM (SELECT endpoint, count(*) AS n FROM `+from+` GROUP BY endpoint) AS d CROSS JOIN alotwebhook_endpoints e ON e.ref = d.endpoint`,
			args...)(&c.Deliveries, &c.Endpoints, &c.Organizations)
	})
	return c, err
}

// selected returns the table, the index and the conditions of the deliveries that a recovery selects.
func (l *lister) selected(r *alotwebhook.Recovery) (from string, args []any) {
	table, index := "alotwebhook_deliveries", l.historyIndex(r)
	if r.State == alotwebhook.RecoveryCanceling {
		table, index = "alotwebhook_queue", l.queueIndex(r)
	}
	plus := "+" // keeps SQLite from choosing another index
	if index != keysOnly {
		table, plus = table+" INDEXED BY "+index, ""
	}
	from, args = table+" WHERE id >= ? AND id < ?", []any{l.from[:], l.before[:]}
	and := func(condition string, arg any) { from, args = from+" AND "+plus+condition, append(args, arg) }
	if l.event != 0 {
		and("event = ?", l.event)
	}
	if l.kind != 0 {
		and("type = ?", l.kind)
	}
	if r.Reason != "" {
		and("reason = ?", string(r.Reason))
	}
	if !l.all {
		and("endpoint "+amongRefs, l.refList())
	}
	if r.State == alotwebhook.RecoveryCanceling {
		return from, args
	}
	if r.Reason == "" {
		for _, unwanted := range []alotwebhook.FailureReason{alotwebhook.ReasonDiscarded, alotwebhook.ReasonCanceled} {
			and("reason <> ?", string(unwanted))
		}
	}
	if !r.FailedSince.IsZero() {
		and("finished_at >= ?", microsFrom(r.FailedSince))
	}
	if !r.FailedUntil.IsZero() {
		and("finished_at < ?", microsFrom(r.FailedUntil))
	}
	return from + " AND " + plus + "state = 2", args // as the index has it
}

// keysOnly stands for no index but the order of the keys, which is that of the table.
const keysOnly = ""

// queueIndex returns the index of the queue by which to look for what a recovery selects. The
// deliveries of one event are together in the table, which alone has all columns.
func (l *lister) queueIndex(r *alotwebhook.Recovery) string {
	if l.event != 0 || l.all && (l.kind != 0 || r.Reason != "") {
		return keysOnly
	}
	return "alotwebhook_queue_due"
}

// historyIndex is queueIndex for failed deliveries. One index has them in the order in which they
// failed, with nearly all that is asked for, the other one by endpoint.
func (l *lister) historyIndex(r *alotwebhook.Recovery) string {
	switch {
	case l.event != 0:
		return keysOnly
	case l.all || !r.FailedSince.IsZero() || !r.FailedUntil.IsZero():
		return "alotwebhook_deliveries_failed"
	}
	return "alotwebhook_deliveries_group"
}
