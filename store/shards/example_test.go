package shards_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/shards"
)

// Each organization is in one database, one large customer in a database of its own.
func Example() {
	ctx := context.Background()
	a, b, large := memory.New(), memory.New(), memory.New() // postgres.New for each database
	byHash := shards.ByHash("a", "b")
	store, err := shards.New(map[string]alotwebhook.Store{"a": a, "b": b, "large": large}, &shards.Config{
		Places: func(organizationID string) []string {
			if organizationID == "org_large" {
				return []string{"large"}
			}
			return byHash(organizationID)
		},
	})
	check(err)
	dispatcher, err := alotwebhook.NewDispatcher(store, nil)
	check(err)
	for _, organization := range []string{"org_1", "org_2", "org_3", "org_large"} {
		event, err := alotwebhook.NewEvent("candidate.completed", organization, json.RawMessage(`{"score":82}`))
		check(err)
		check(dispatcher.Emit(ctx, event))
		places, err := store.Places(organization)
		check(err)
		fmt.Println(organization, "is in", places)
	}
	// Output:
	// org_1 is in [a]
	// org_2 is in [a]
	// org_3 is in [b]
	// org_large is in [large]
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
