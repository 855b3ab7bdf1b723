package command

import (
	"errors"
	"os"
	"runtime/pprof"
)

// Profiled calls f and writes a profile of what this process does meanwhile to a file, for
// go tool pprof. It only calls f if path is "".
func Profiled(path string, f func() error) (err error) {
	if path == "" {
		return f()
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}
