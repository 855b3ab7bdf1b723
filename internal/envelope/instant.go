package envelope

import "time"

// layout is the form that JavaScript's toISOString prints for the years 0
// to 9999.
const layout = "2006-01-02T15:04:05.000Z"

// appendInstant appends a time, in UTC and cut to milliseconds.
func appendInstant(b []byte, at time.Time) []byte { return at.UTC().AppendFormat(b, layout) }

// parseInstant reads a time in that form, and in no other form.
func parseInstant(b []byte) (at time.Time, ok bool) {
	if len(b) != len(layout) || b[4] != '-' || b[7] != '-' || b[10] != 'T' ||
		b[13] != ':' || b[16] != ':' || b[19] != '.' || b[23] != 'Z' {
		return time.Time{}, false
	}
	ok = true
	number := func(from, to int) (n int) {
		for _, c := range b[from:to] {
			ok = ok && '0' <= c && c <= '9'
			n = 10*n + int(c) - '0'
		}
		return n
	}
	year, month, day := number(0, 4), time.Month(number(5, 7)), number(8, 10)
	hour, minute, second, ms := number(11, 13), number(14, 16), number(17, 19), number(20, 23)
	at = time.Date(year, month, day, hour, minute, second, ms*int(time.Millisecond), time.UTC)
	// time.Date turns a 31st of April into a 1st of May: if it changes the day, there is
	// no such date.
	return at, ok && hour < 24 && minute < 60 && second < 60 && at.Day() == day && at.Month() == month
}
