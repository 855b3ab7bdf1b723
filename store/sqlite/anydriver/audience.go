package anydriver

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// audiences remembers the subscribers of organizations and types, for the transactions of hosts.
// Like the catalogue, which belongs to the writer, it holds as long as the number in
// alotwebhook_changes is its own.
type audiences struct {
	mu      sync.Mutex
	changes int64
	of      map[topic][]subscriber
}

func (a *audiences) get(changes int64, of topic) ([]subscriber, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.changes != changes {
		return nil, false
	}
	list, ok := a.of[of]
	return list, ok
}

func (a *audiences) put(changes int64, of topic, list []subscriber) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.changes < changes:
		a.changes, a.of = changes, map[topic][]subscriber{}
	case a.changes > changes:
		return // another transaction has seen a later one
	}
	put(a.of, of, list)
}

// audience returns the endpoints that are to get events of the topic, after that many
// changes.
func (t *txn) audience(known *audiences, changes int64, of topic) ([]subscriber, error) {
	if list, ok := known.get(changes, of); ok {
		return list, nil
	}
	list, err := t.subscribersOf(of)
	if err == nil {
		known.put(changes, of, list)
	}
	return list, err
}

// insertOne inserts an event of a type that is stored, unless its id is stored already. It
// returns its ref, which SQLite makes one greater than the greatest, and the number of changes.
// So one statement takes the write lock and reads all that enqueue asks for.
const insertOne = `INSERT INTO alotwebhook_events (id, type, happened_at, stored_at, organization, payload, trace_parent, subject)
	SELECT ?, ref, ?, ?, ?, ?, ?, ? FROM alotwebhook_types WHERE name = ?
	ON CONFLICT (id) DO NOTHING
	RETURNING ref, type, (SELECT endpoints FROM alotwebhook_changes)`

// enqueueOne stores an event and its deliveries. stored is false, and nothing is stored, if
// its type is new, or its id is not.
func (t *txn) enqueueOne(e *alotwebhook.Event, known *audiences) (stored bool, err error) {
	f := fresh{event: e}
	if f.key, err = eventKey(e.ID); err != nil {
		return false, err
	}
	var changes int64
	err = t.one(insertOne, f.key[:], e.Timestamp.UnixMicro(), t.now, e.OrganizationID, e.Payload(), nullable(e.TraceParent), nullable(e.Subject), e.Type)(&f.ref, &f.kind, &changes)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t.outlive()
	t.now = time.Now().UnixMicro() // not before: who writes first is due first
	list, err := t.audience(known, changes, topic{e.OrganizationID, e.Type})
	if err != nil {
		return true, err
	}
	deliveries := make([]due, len(list))
	for i, s := range list {
		k, _ := parseKey(deliveryPrefix, alotwebhook.DeliveryID(e.ID, s.id))
		deliveries[i] = due{k, s.ref, &f}
	}
	return true, t.queue(deliveries)
}

// prepareForHosts prepares the statements that hosts' transactions execute most, if the store is on
// a host's handle. To parse one costs as much as to execute it.
func (s *Store) prepareForHosts(ctx context.Context) error {
	if s.owned {
		return nil // nobody has a transaction of this handle
	}
	s.forHosts = map[string]*sql.Stmt{}
	for _, query := range slices.Concat([]string{savepoint, insertOne, release}, insertEvents.queries, insertAbout.queries, insertQueue.queries) {
		stmt, err := s.writing.db.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		s.forHosts[query] = stmt
	}
	return nil
}

// preparedForHost returns the statement for a host's transaction, if it was prepared and the
// transaction can use it: one that a library has wrapped cannot.
func (t *txn) preparedForHost(query string) *sql.Stmt {
	tx, ok := t.on.(*sql.Tx)
	if stmt := t.prepared[query]; ok && stmt != nil {
		return tx.StmtContext(t.ctx, stmt)
	}
	return nil
}

// ofOwnHandle reports whether a host's transaction has taken a statement that was prepared on the
// store's handle, as database/sql allows to transactions of that handle alone.
func (t *txn) ofOwnHandle() bool {
	_, ok := t.on.(*sql.Tx)
	return ok && t.prepared != nil
}

// ofAnotherHandle reports whether err says that the transaction is not one of the handle that
// the store was given, but of another one on the same file. Then it gets no prepared statements.
func (t *txn) ofAnotherHandle(err error) bool {
	another := err != nil && strings.Contains(err.Error(), "Tx.Stmt: statement from different database used")
	if another {
		t.prepared = nil
	}
	return another
}
