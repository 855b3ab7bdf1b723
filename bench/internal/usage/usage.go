// Package usage tells what this process and the whole machine use. What comes from /proc is
// known on Linux alone.
package usage

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/stat.
const tick = time.Second / 100

// Machine returns the processor time that all processes of the machine have used since it
// started, and what a hypervisor has given to other machines meanwhile. What the kernel does
// for no process, such as for the network, is not in it. ok is false if it is not known.
func Machine() (used time.Duration, ok bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(text), "\n")
	// cpu user nice system idle iowait irq softirq steal
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, false
	}
	var ticks int64
	for _, column := range []int{1, 2, 3, 8} {
		n, err := strconv.ParseInt(fields[column], 10, 64)
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, true
}

// Resident returns how many bytes of this process are in memory now, and how many were at
// most; 0 if it is not known.
func Resident() (now, peak int64) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			now = kib << 10
		case "VmHWM:":
			peak = kib << 10
		}
	}
	return now, peak
}

// Descriptors returns how many file descriptors this process has open, and how many of them
// are sockets; 0 if it is not known.
func Descriptors() (all, sockets int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil {
			continue // closed meanwhile
		}
		all++
		if strings.HasPrefix(target, "socket:") {
			sockets++
		}
	}
	return all, sockets
}

// Share returns which share of all processors a processor time is within a time that passed.
func Share(used, passed time.Duration) float64 {
	if passed <= 0 {
		return 0
	}
	return float64(used) / float64(passed) / float64(runtime.NumCPU())
}
