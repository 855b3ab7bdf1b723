//go:build unix

package anydriver

import (
	"os"
	"syscall"
)

// lockFile locks a file for as long as it is open, or this process lives. It returns false if
// somebody else has locked it.
func lockFile(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == syscall.EWOULDBLOCK {
		return false, nil
	}
	return err == nil, err
}
