//go:build !unix

package anydriver

import (
	"errors"
	"os"
)

// lockFile does nothing here: without it, a process that was killed is known by its lease.
func lockFile(*os.File) (bool, error) { return false, errors.ErrUnsupported }
