package settings

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// templateFuncs are the functions that the templates call to put values into words.
var templateFuncs = template.FuncMap{
	"exact":    exact,
	"utc":      utc,
	"took":     took,
	"soon":     soon,
	"site":     site,
	"rest":     rest,
	"response": lastResponse,
	"attempts": attempts,
	"count":    count,
	"reason":   reasonOf,
	"word":     stateWord,
	"icon":     stateIcon,
	"born":     idTime,
	"happened": happened,
	"recovery": recoveryWord,
	"deed":     deed,
	"percent":  percent,
	"list":     func(items ...any) []any { return items },

	"number":     number,
	"attempts64": func(n int64) string { return count(n, "attempt", "attempts") },
	"perSecond":  perSecond,
	"permille":   func(share float64) int { return int(share * 1000) },
	"statusText": status,
	"deliveries": func(rows []deliveryRow, one, many bool) deliveriesView { return deliveriesView{rows, one, many} },
}

// exact returns a time in the form of RFC 3339, in UTC with three decimals.
func exact(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// utc returns a time as people read it, in UTC. The script of the pages changes it to
// the zone of the browser.
func utc(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04:05 UTC") }

// soon returns how long it is until a time, such as "in 5 min".
func soon(t time.Time) string {
	switch left := time.Until(t).Round(time.Second); {
	case left <= 0:
		return "now"
	case left < 2*time.Minute:
		return fmt.Sprintf("in %d s", left/time.Second)
	case left < 2*time.Hour:
		return fmt.Sprintf("in %d min", left/time.Minute)
	default:
		return fmt.Sprintf("in %d h", left/time.Hour)
	}
}

// took returns a duration in a unit that suits its length, such as "1.2 s".
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 ms"
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + " ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// site returns the part of a URL by which people know an endpoint: the host, and
// before it any scheme other than https.
func site(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Host == "" {
		return link
	}
	if u.Scheme == "https" {
		return u.Host
	}
	return u.Scheme + "://" + u.Host
}

// rest returns the part of a URL that follows its site.
func rest(link string) string {
	return strings.TrimPrefix(strings.TrimPrefix(link, "https://"), site(link))
}

// count returns a number with its noun, such as "2 attempts".
func count(n any, one, many string) string {
	if text := number(n); text != "1" {
		return text + " " + many
	}
	return "1 " + one
}

// number returns a number with its digits in groups of three.
func number(n any) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// percent returns a share as a percentage, such as "33 %".
func percent(share float64) string { return strconv.Itoa(int(math.Round(share*100))) + " %" }

// decimal writes a number without an exponent.
func decimal(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// perSecond returns a rate, such as "2.5 requests a second".
func perSecond(rate float64) string {
	if rate == 1 {
		return "1 request a second"
	}
	return decimal(rate) + " requests a second"
}

// attempts returns a number of attempts, such as "2 attempts".
func attempts(n int) string { return count(n, "attempt", "attempts") }

// stateWord returns the word for the state of a delivery.
func stateWord(s alotwebhook.DeliveryState) string {
	switch s {
	case alotwebhook.StateDelivered:
		return "Delivered"
	case alotwebhook.StateFailed:
		return "Failed"
	case alotwebhook.StateParked:
		return "Parked"
	case alotwebhook.StateUnfinished:
		return "Unfinished"
	}
	return "Pending"
}

// stateIcon returns the name of the shape for the state of a delivery. It is also the
// class that gives the shape its colour.
func stateIcon(s alotwebhook.DeliveryState) string { return strings.ToLower(stateWord(s)) }

// recoveryWords are the headings of recoveries, by their states.
var recoveryWords = map[alotwebhook.RecoveryState]string{
	alotwebhook.RecoveryRunning:    "Recovering",
	alotwebhook.RecoveryDone:       "Last recovery",
	alotwebhook.RecoveryStopped:    "Stopped",
	alotwebhook.RecoveryDiscarding: "Discarding parked deliveries",
	alotwebhook.RecoveryDiscarded:  "Parked deliveries discarded",
	alotwebhook.RecoveryCanceling:  "Canceling deliveries",
	alotwebhook.RecoveryCanceled:   "Deliveries canceled",
	alotwebhook.RecoveryErasing:    "Erasing personal data",
	alotwebhook.RecoveryErased:     "Personal data erased",
	alotwebhook.RecoveryRemoving:   "Removing an organization",
	alotwebhook.RecoveryRemoved:    "Organization removed",
	alotwebhook.RecoverySending:    "Sending what was missed",
	alotwebhook.RecoverySent:       "What was missed was sent",
}

// recoveryWord returns the heading of a recovery.
func recoveryWord(s alotwebhook.RecoveryState) string {
	return cmp.Or(recoveryWords[s], string(s)) // of a newer release
}

// lastResponse returns the status of the last response in words, or the word for the
// failure if it was not the status that made the attempt fail.
func lastResponse(d alotwebhook.Delivery) string {
	switch {
	case d.LastReason == "" && d.LastStatusCode == 0:
		return "–"
	case d.LastStatusCode != 0 && (d.LastReason == "" || d.LastReason == alotwebhook.ReasonStatus || d.LastReason == alotwebhook.ReasonRedirect):
		return status(d.LastStatusCode)
	}
	return reasonOf(d.LastReason, d.LastStatusCode).Word
}

// status returns a status code with its name, such as "404 Not Found".
func status(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}
