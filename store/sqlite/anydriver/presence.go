package anydriver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
)

// An owner holds the lock of a file beside the database for as long as its process lives. The
// system drops it when the process ends, however that happens. So what a killed process owned
// need not wait for the end of its time, when all that is known is that it has said nothing for
// so long. Where such a file cannot be made, it is the time alone that counts.

// presence is the locked file of an owner.
type presence struct {
	name string // behind the database's; "" for none
	file *os.File
}

// besides finds the file of the database, to which the names of locked files are added; it is
// empty for a database in memory. It reads nothing of the file.
func (s *Store) besides(ctx context.Context) error {
	list, err := (&txn{ctx: ctx, on: s.claims.db}).databases()
	if err == nil {
		s.path = list[0].file
	}
	return err
}

// appear makes the locked file of a new owner.
func (s *Store) appear() (p presence) {
	if s.path == "" {
		return p
	}
	name := fmt.Sprintf("-owner-%016x", rand.Uint64())
	file, err := os.OpenFile(s.path+name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return p
	}
	if locked, _ := lockFile(file); !locked {
		_ = file.Close()
		_ = os.Remove(s.path + name)
		return p
	}
	return presence{name, file}
}

// vanish removes the locked file.
func (s *Store) vanish(p *presence) {
	if p.name != "" {
		_ = os.Remove(s.path + p.name)
	}
	if p.file != nil {
		_ = p.file.Close()
	}
	*p = presence{}
}

// deserted reports whether the process of the owner that has made a file has ended. It is
// false as well if that cannot be told.
func (s *Store) deserted(name string) bool {
	if s.path == "" || name == "" {
		return false
	}
	file, err := os.OpenFile(s.path+name, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	free, _ := lockFile(file)
	return free
}
