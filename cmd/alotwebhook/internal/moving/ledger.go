package moving

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
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
	mend    func() error // makes the file end with a whole line; nil once it does
}

// OpenLedger opens the map, and makes it if there is none. Without write, it only reads. A last
// line that was cut off by a crash is passed over: it is of a registration that is found again by
// its key. The file is changed by the first entry that is put into it, and not before: it may be another
// file, named by mistake.
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
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no plain file")
	}
	if err == nil {
		err = l.read(f)
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

// read reads the lines. It refuses a file with anything else in it.
func (l *Ledger) read(f *os.File) error {
	lines := bufio.NewReader(f)
	whole := int64(0)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		ended := err == nil
		e, isEntry := readEntry(line)
		switch {
		case isEntry:
			l.entries[e.key()] = e
			if !ended {
				l.mend = func() error { _, err := f.WriteString("\n"); return err }
			}
		case !ended && isCut(line):
			if behind := whole; len(line) > 0 {
				l.mend = func() error { return f.Truncate(behind) }
			}
		default:
			return fmt.Errorf("line %d is no entry; was this file written by an import?", n)
		}
		if whole += int64(len(line)); !ended {
			return nil
		}
	}
}

// readEntry reads a line. It takes nothing that has other keys, such as a line of generated secrets.
func readEntry(line []byte) (e entry, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	ok = decoder.Decode(&e) == nil && e.OldID != ""
	_, err := decoder.Token()
	return e, ok && err == io.EOF
}

// isCut reports whether a text is the beginning of an entry. Any other text is kept: it may be all that a
// file has, such as a token or an export.
func isCut(text []byte) bool {
	begins := func(start string) bool {
		n := min(len(start), len(text))
		return start[:n] == string(text[:n])
	}
	if json.Valid(text) || !begins(`{"organizationId":"`) && !begins(`{"oldId":"`) {
		return false
	}
	known := namesIn(reflect.TypeFor[entry]())
	return !slices.ContainsFunc(keysOf(text), func(key string) bool { return known[key] == nil })
}

// keysOf returns the keys of an object up to where its text is cut off.
func keysOf(text []byte) (keys []string) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	_, _ = decoder.Token() // the bracket
	for {
		key, err := decoder.Token()
		if name, isName := key.(string); err == nil && isName {
			keys = append(keys, name)
			err = decoder.Decode(new(json.RawMessage))
		}
		if err != nil {
			return keys
		}
	}
}

// Close ends the writing.
func (l *Ledger) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// ErrMap says that what was done last is not in the map.
var ErrMap = errors.New("the map is not written")

// put writes an entry, and returns once it is on disk.
func (l *Ledger) put(e entry) error {
	e.At = time.Now().UTC().Truncate(time.Second)
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if l.mend != nil {
		if err := l.mend(); err != nil {
			return fmt.Errorf("%w: %w", ErrMap, err)
		}
		l.mend = nil
	}
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%w: %w", ErrMap, err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("%w: %w", ErrMap, err)
	}
	l.entries[e.key()] = e
	return nil
}

// of returns the entry of an endpoint by its id here.
func (l *Ledger) of(id string) (e entry, found bool) {
	for _, e := range l.entries {
		if e.ID == id {
			return e, true
		}
	}
	return entry{}, false
}

// begun returns the entries with an old id that tell of a registration, whosever they are.
func (l *Ledger) begun(oldID string) (found []entry) {
	for _, e := range l.entries {
		if e.OldID == oldID && (e.ID != "" || e.Begun) {
			found = append(found, e)
		}
	}
	return found
}

// called says which endpoint of the old sender an entry is of.
func (e *entry) called() string {
	said := Place(e.OldID) // an id, or a URL in its place
	if e.Organization != "" {
		said += " of " + strconv.Quote(e.Organization)
	}
	return said
}
