package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// output is the standard output. Receivers and the main program write to it at the same
// time.
type output struct {
	mu    sync.Mutex
	w     io.Writer
	start time.Time
}

func (o *output) printf(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.w, format, args...)
}

// event prints a line that begins with the time since the start.
func (o *output) event(format string, args ...any) {
	at := time.Since(o.start).Seconds()
	o.printf("  %5.2f s  %s\n", at, fmt.Sprintf(format, args...))
}
