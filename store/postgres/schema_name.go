package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/alot/alotwebhook"
)

// longestName is how many bytes of a name PostgreSQL keeps. It cuts off the others without an error,
// so that two schemas would be one.
const longestName = 63

// checkSchemaName refuses the name of a schema that PostgreSQL does not keep as it is.
func checkSchemaName(name string) error {
	problem := ""
	switch {
	case len(name) > longestName:
		problem = fmt.Sprintf("has %d bytes, and PostgreSQL keeps %d of them: choose a shorter name than %q", len(name), longestName, name)
	case strings.ContainsRune(name, 0):
		problem = fmt.Sprintf("has a NUL, which no name in PostgreSQL has: remove it from %q", name)
	case !utf8.ValidString(name):
		problem = fmt.Sprintf("is no UTF-8: %q", name)
	}
	if problem == "" {
		return nil
	}
	return &alotwebhook.FieldError{Field: "schema", Problem: problem}
}

const channelPrefix = "alotwebhook."

// channel is the name for NOTIFY and LISTEN; each schema has its own.
func (s *Store) channel() string {
	if name := channelPrefix + s.schema; len(name) <= longestName {
		return name
	}
	sum := sha256.Sum256([]byte(s.schema))
	return channelPrefix + hex.EncodeToString(sum[:16])
}
