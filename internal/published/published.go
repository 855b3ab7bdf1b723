// Package published has the event types that are published, with their schemas and examples.
package published

import (
	_ "embed"
	"encoding/json"

	"github.com/alot/alotwebhook/internal/eventtype"
)

//go:embed types.json
var types []byte

// Types returns the types. Their examples are as compact as they are sent. All is the caller's.
func Types() (list []eventtype.Entry) {
	if err := json.Unmarshal(types, &list); err != nil {
		panic(err) // a test reads it
	}
	return list
}
