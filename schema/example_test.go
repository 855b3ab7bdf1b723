package schema_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/schema"
	"github.com/alot/alotwebhook/store/memory"
)

// What does not fit the schema of its type is refused by Emit.
func Example() {
	store := memory.New()
	own := alotwebhook.EventType{
		Name:    "candidate.withdrew",
		Schema:  json.RawMessage(`{"type":"object","required":["sessionId"],"properties":{"sessionId":{"type":"string"}}}`),
		Example: json.RawMessage(`{"sessionId":"sess_123"}`),
	}
	types := append(alotwebhook.DefaultEventTypes(), own)
	checker, err := schema.New(types)
	if err != nil {
		log.Fatal(err) // a schema is none, or refers to another document: nothing is fetched
	}
	dispatcher, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{EventTypes: types, CheckData: checker.Check})
	if err != nil {
		log.Fatal(err) // an example does not fit, for instance
	}
	event, err := alotwebhook.NewEvent("candidate.withdrew", "org_123", map[string]int{"sessionId": 123})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(dispatcher.Emit(context.Background(), event))
	// Output: alotwebhook: data does not fit candidate.withdrew: at "/sessionId": type must be string
}
