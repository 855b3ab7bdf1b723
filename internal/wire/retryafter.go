package wire

import (
	"net/http"
	"strings"
	"time"
)

// MaxRetryAfter is the longest wait that a receiver can ask for.
const MaxRetryAfter = 24 * time.Hour

// RetryAfter reads the header Retry-After (RFC 9110, section 10.2.3) as a wait from now,
// up to [MaxRetryAfter]: a number of seconds or a date. It also takes what servers write in
// their place: a fraction, which counts as a whole second, a longer number, and dates in
// other usual forms. Anything else, and a date in the past, is 0.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.Trim(h.Get("Retry-After"), " \t\"")
	if value == "" { // as most are: every layout of a date that does not fit costs an error
		return 0
	}
	if wait, ok := parseSeconds(value); ok {
		return wait
	}
	if at, ok := parseDate(value); ok {
		return max(0, min(at.Sub(now), MaxRetryAfter))
	}
	return 0
}

// parseSeconds reads a decimal number and rounds it up.
func parseSeconds(value string) (wait time.Duration, ok bool) {
	whole, fraction, _ := strings.Cut(value, ".")
	if whole == "" || !isDigits(whole) || !isDigits(fraction) {
		return 0, false
	}
	for _, digit := range whole {
		wait = min(10*wait+time.Duration(digit-'0')*time.Second, MaxRetryAfter)
	}
	if strings.Trim(fraction, "0") != "" {
		wait += time.Second
	}
	return min(wait, MaxRetryAfter), true
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

func parseDate(value string) (at time.Time, ok bool) {
	if at, err := http.ParseTime(value); err == nil {
		return at, true
	}
	for _, layout := range []string{time.RFC1123Z, time.RFC1123, time.RFC3339} {
		if at, err := time.Parse(layout, value); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
