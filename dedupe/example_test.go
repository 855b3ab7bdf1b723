package dedupe_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
)

// An event that is sent again, because its first answer was lost, is handled once.
func ExampleMemory() {
	const secret = alotwebhook.Secret("It's a Secret to Everybody")
	verifier, err := alotwebhook.NewVerifier(secret)
	if err != nil {
		log.Fatal(err)
	}
	receiver := alotwebhook.NewReceiver(verifier, &alotwebhook.ReceiverConfig{Deduper: dedupe.NewMemory(nil)})
	alotwebhook.On(receiver, alotwebhook.EventCandidateCompleted,
		func(ctx context.Context, e alotwebhook.Event, data alotwebhook.CandidateCompleted) error {
			fmt.Println("handled:", data.SessionID)
			return nil
		})

	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_123", map[string]any{
		"sessionId": "sess_123", "assessmentId": "asm_456", "candidateName": "Jane Smith",
		"candidateEmail": "jane@example.com", "score": 82, "status": "COMPLETED",
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		request := httptest.NewRequest("POST", "/webhooks/alot", bytes.NewReader(event.Payload()))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(alotwebhook.SignatureHeader, alotwebhook.Sign(event.Payload(), secret))
		response := httptest.NewRecorder()
		receiver.ServeHTTP(response, request)
		fmt.Println(response.Code)
	}
	// Output:
	// handled: sess_123
	// 200
	// 200
}

// The mark that the event was handled commits with what the handler writes.
func ExampleSQL_Tx() {
	var db *sql.DB // your own, opened with the driver that you have
	var verifier *alotwebhook.Verifier

	handled, err := dedupe.NewSQL(db, dedupe.PostgreSQL, nil)
	if err != nil {
		log.Fatal(err)
	}
	receiver := alotwebhook.NewReceiver(verifier, &alotwebhook.ReceiverConfig{Deduper: handled})
	alotwebhook.On(receiver, alotwebhook.EventCandidateCompleted,
		func(ctx context.Context, e alotwebhook.Event, data alotwebhook.CandidateCompleted) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback() // does nothing once committed
			if _, err := tx.ExecContext(ctx, "INSERT INTO results (session_id) VALUES ($1)", data.SessionID); err != nil {
				return err
			}
			if err := handled.Tx(tx).Complete(ctx, alotwebhook.ClaimFromContext(ctx)); err != nil {
				return err
			}
			return tx.Commit()
		})
	http.Handle("POST /webhooks/alot", receiver)
}

// The table is made once, at the start of the program or by a migration.
func ExampleSQL_CreateTable() {
	var db *sql.DB // your own

	handled, err := dedupe.NewSQL(db, dedupe.SQLite, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := handled.CreateTable(context.Background()); err != nil {
		log.Fatal(err)
	}
}
