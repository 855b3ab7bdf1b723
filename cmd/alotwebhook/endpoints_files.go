package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/alot/alotwebhook/cmd/alotwebhook/internal/moving"
)

// importFiles are what an import writes: the map, and the file of generated secrets.
type importFiles struct {
	ledger  *moving.Ledger
	secrets *os.File // nil: no secrets are generated, or it is a dry run
	// keepSecret adds a secret to its file, and returns once it is on disk; nil without such a file.
	keepSecret func(moving.Endpoint, string) error
}

// open opens the files, before anything is asked of the service. It refuses one that is given for two things:
// the second would be written into the first.
func (m *imports) open(export string) (*importFiles, error) {
	var f importFiles
	var err error
	given := []givenFile{{"--map", m.ledger}, {"the export", export}, {"--token-file", m.api.tokenFile}, {"--new-secrets", m.secrets}}
	if err := distinctFiles(given); err != nil {
		return nil, err
	}
	if m.secrets != "" {
		if f.secrets, err = openSecrets(m.secrets, m.dryRun); err != nil {
			return nil, usagef("cannot keep secrets in %s: %w", m.secrets, err)
		}
		f.keepSecret = f.keep
	}
	if f.ledger, err = moving.OpenLedger(m.ledger, !m.dryRun); err == nil {
		if err = distinctFiles(given); err == nil { // they are the same also if both have just been made
			return &f, nil
		}
	}
	return nil, usageError{errors.Join(err, f.close())}
}

func (f *importFiles) close() (err error) {
	if f.ledger != nil {
		err = f.ledger.Close()
	}
	if f.secrets != nil {
		err = errors.Join(err, f.secrets.Close())
	}
	return err
}

// givenFile is a file of the command line, and what it is given for.
type givenFile struct{ as, name string }

func distinctFiles(given []givenFile) error {
	for i, a := range given {
		for _, b := range given[:i] {
			if a.name != "" && b.name != "" && a.name != "-" && sameFile(a.name, b.name) {
				return usagef("%s and %s are one file, %s; give each its own", b.as, a.as, a.name)
			}
		}
	}
	return nil
}

func sameFile(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// openSecrets opens the file of generated secrets at its end, and makes it if it is not there. It refuses one
// that others may read. For a dry run it only looks.
func openSecrets(name string, dryRun bool) (*os.File, error) {
	flags := os.O_RDWR | os.O_APPEND
	if !dryRun {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(name, flags, 0o600)
	if dryRun && os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("it is no plain file")
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("others may read it, by its mode %04o; set 0600, or name a new file", info.Mode().Perm())
	}
	if err != nil || dryRun {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// endsInLine reports whether what is added to a file begins a line: the last one may have been cut off by a crash.
func endsInLine(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return true, err
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return last[0] == '\n', err
}

// newSecret is a line of the file of generated secrets.
type newSecret struct {
	Organization string `json:"organizationId,omitempty"`
	OldID        string `json:"oldId,omitempty"`
	URL          string `json:"url"`
	Secret       string `json:"secret"`
}

func (f *importFiles) keep(e moving.Endpoint, secret string) error {
	if secret == "" {
		return errors.New("the service does not show it any more; rotate it")
	}
	line, err := json.Marshal(newSecret{e.Organization, e.ID, e.URL, secret})
	if err != nil {
		return err
	}
	ended, err := endsInLine(f.secrets)
	if err == nil {
		line = append(line, '\n')
		if !ended {
			line = append([]byte{'\n'}, line...)
		}
		_, err = f.secrets.Write(line)
	}
	return errors.Join(err, f.secrets.Sync())
}
