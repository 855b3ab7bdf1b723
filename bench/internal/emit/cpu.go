package emit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// server is a PostgreSQL server on this machine: the process that the others are children of.
type server struct {
	parent int // 0 if the system does not tell
	last   map[string]time.Duration
	total  time.Duration
}

// findServer finds the server behind a pool.
func findServer(ctx context.Context, pool *pgxpool.Pool) (*server, error) {
	var backend int
	if err := pool.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return nil, err
	}
	return &server{parent: parentOf(fmt.Sprint("/proc/", backend)), last: map[string]time.Duration{}}, nil
}

// cpuTime returns the processor time of all the server's processes since the first call; 0 if
// the system does not tell. What one used between the last look at it and its end is not
// counted.
func (s *server) cpuTime() (time.Duration, error) {
	if s.parent == 0 {
		return 0, nil
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, p := range processes {
		if parentOf(p) != s.parent {
			continue
		}
		used := processTime(p)
		s.total += used - s.last[p]
		s.last[p] = used
	}
	return s.total, nil
}

// parentOf returns the parent of the process in that directory; 0 if there is none.
func parentOf(process string) int {
	text, err := os.ReadFile(filepath.Join(process, "stat"))
	if err != nil {
		return 0
	}
	// pid (command) state parent …: a command may contain spaces.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(string(fields[1]))
	return parent
}

// processTime returns what the process in that directory has used, exactly to the nanosecond.
// A process of PostgreSQL has one thread.
func processTime(process string) time.Duration {
	text, err := os.ReadFile(filepath.Join(process, "schedstat"))
	if err != nil {
		return 0
	}
	first, _, _ := bytes.Cut(text, []byte(" "))
	ns, _ := strconv.ParseInt(string(first), 10, 64)
	return time.Duration(ns)
}
