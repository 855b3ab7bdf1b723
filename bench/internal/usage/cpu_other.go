//go:build !unix

package usage

import "time"

// CPU returns 0, because the time is not known on this system.
func CPU() time.Duration { return 0 }
