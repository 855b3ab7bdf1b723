package moving

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// state is what an import sets of an endpoint, beside its secret and its headers.
type state struct {
	URL         string   `json:"url"`
	Description string   `json:"description"`
	Events      []string `json:"events"`
	Disabled    bool     `json:"disabled"`
	Ordered     bool     `json:"ordered"`
	Rate        float64  `json:"rate"`
	// PayloadVersion is left as it is here if it is "".
	PayloadVersion string `json:"payloadVersion,omitempty"`
}

// entry is a line of the map: an endpoint that was imported, or is about to be.
type entry struct {
	Organization string    `json:"organizationId,omitempty"`
	OldID        string    `json:"oldId"`
	OldUID       string    `json:"oldUid,omitempty"`
	ID           string    `json:"id,omitempty"` // empty: it is not registered, as far as is known
	At           time.Time `json:"at"`
	// Begun says that the registration has no outcome: a crash or an error may have hidden it.
	Begun bool `json:"begun,omitempty"`
	// ETag is that of the endpoint once it was imported. Another one says that somebody has
	// changed it since.
	ETag string `json:"etag,omitempty"`
	// Imported is what the old sender had.
	Imported *state `json:"imported,omitempty"`
	// Trace tells another secret of the old sender from this one. It has 16 bits, so that it is of
	// no use to whoever guesses at the secret.
	Trace string `json:"secretTrace,omitempty"`
	// HeadersTrace does so for the endpoint's own headers; it is "" without any.
	HeadersTrace string `json:"headersTrace,omitempty"`
}

func (e *entry) key() [2]string { return [2]string{e.Organization, e.OldID} }

// trace returns the 16 bits of a secret; "" for none.
func trace(organization, oldID, secret string) string {
	if secret == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(organization + "\x00" + oldID + "\x00" + secret))
	return hex.EncodeToString(sum[:2])
}

// traceHeaders returns the trace of an endpoint's own headers; "" for none.
func traceHeaders(e *Endpoint) string {
	text := ""
	for _, h := range e.Headers {
		text += h.Name + ": " + h.Value + "\n"
	}
	return trace(e.Organization, e.name(), text)
}

// Ledger is the map from the ids of the old sender to ours, a JSON object a line. A line is on
// disk before the next request is made; the last line about an endpoint counts. So nothing is
// lost when an import ends half way, and a second one finds what the first has done.
type Ledger struct {
	file    *os.File // nil: nothing is written
	entries map[[2]string]entry
}

// OpenLedger opens the map, and makes it if there is none. Without write, it only reads. A last
// line that was cut off by a crash is passed over: it is of a registration that is found again by
// its key.
func OpenLedger(name string, write bool) (*Ledger, error) {
	l := &Ledger{entries: map[[2]string]entry{}}
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR | os.O_CREATE | os.O_APPEND
	}
	f, err := os.OpenFile(name, flags, 0o600)
	if os.IsNotExist(err) && !write {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	whole, err := l.read(f)
	if err == nil && write {
		err = f.Truncate(whole)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("the map %s: %w", name, err)
	}
	if l.file = f; !write {
		l.file = nil
		return l, f.Close()
	}
	return l, nil
}

// read reads the lines, and returns how many bytes of the file are whole lines.
func (l *Ledger) read(f io.Reader) (whole int64, err error) {
	lines := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		var e entry
		if json.Unmarshal(line, &e) != nil || e.OldID == "" {
			return 0, fmt.Errorf("line %d is no entry; was this file written by an import?", n)
		}
		l.entries[e.key()] = e
		whole += int64(len(line))
	}
}

// Close ends the writing.
func (l *Ledger) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// put writes an entry, and returns once it is on disk.
func (l *Ledger) put(e entry) error {
	e.At = time.Now().UTC().Truncate(time.Second)
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("the map is not written: %w", err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("the map is not written: %w", err)
	}
	l.entries[e.key()] = e
	return nil
}

// ids are those of all endpoints that were imported.
func (l *Ledger) ids() map[string]bool {
	ids := map[string]bool{}
	for _, e := range l.entries {
		ids[e.ID] = true
	}
	return ids
}
