// Monolith is a product outside of this repository. It has a table of its own in
// an SQLite file, and emits in the transactions that change it:
//
//	monolith FILE URL
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"

	_ "modernc.org/sqlite"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) != 3 {
		log.Fatal("usage: monolith FILE URL")
	}
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

// run registers an endpoint, completes a candidate, and delivers until ctx is done.
func run(ctx context.Context, file, url string) error {
	p, err := openProduct(ctx, file)
	if err != nil {
		return err
	}
	defer p.close()
	endpoint, err := p.register(ctx, url)
	if err != nil {
		return err
	}
	fmt.Println("the endpoint's secret, shown once:", string(endpoint.Secret))
	if _, err := p.complete(ctx, "sess_1", 82); err != nil {
		return err
	}
	return p.dispatcher.Run(ctx)
}

// product is the host: a database of its own, and a dispatcher in it.
type product struct {
	db         *sql.DB
	store      *sqlite.Store
	dispatcher *alotwebhook.Dispatcher
}

func openProduct(ctx context.Context, file string) (_ *product, err error) {
	p := &product{}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	p.db, err = sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		return p, err
	}
	if _, err = p.db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS candidates (session_id TEXT PRIMARY KEY, score INTEGER NOT NULL)"); err != nil {
		return p, err
	}
	if p.store, err = sqlite.New(ctx, p.db); err != nil {
		return p, err
	}
	p.dispatcher, err = alotwebhook.NewDispatcher(p.store, &alotwebhook.Config{
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, // the receiver is on this machine
	})
	return p, err
}

func (p *product) close() {
	if p.store != nil {
		_ = p.store.Close()
	}
	if p.db != nil {
		_ = p.db.Close()
	}
}

func (p *product) register(ctx context.Context, url string) (alotwebhook.Endpoint, error) {
	return p.dispatcher.CreateEndpoint(ctx, alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: url, EventTypes: []string{alotwebhook.EventCandidateCompleted},
	})
}

var errScore = errors.New("a score is at least 0")

// complete stores a result and emits its event: both, or neither.
func (p *product) complete(ctx context.Context, sessionID string, score int) (alotwebhook.Event, error) {
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_123", map[string]any{"sessionId": sessionID, "score": score})
	if err != nil {
		return event, err
	}
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return event, err
	}
	defer tx.Rollback() // does nothing after Commit
	if _, err := tx.ExecContext(ctx, "INSERT INTO candidates VALUES (?, ?)", sessionID, score); err != nil {
		return event, err
	}
	if err := p.dispatcher.EmitTo(ctx, p.store.Tx(tx), event); err != nil {
		return event, err
	}
	if score < 0 {
		return event, errScore
	}
	return event, tx.Commit()
}
