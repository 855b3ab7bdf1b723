package settings

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/typeid"
)

// recoveryRow is a recovery as the operators' pages show it.
type recoveryRow struct {
	alotwebhook.Recovery
	Pages string // path of the organization's pages; "" if it is about all
	Page  string // path of the recovery's own page
}

// purpose says what a recovery does, in words, and how it is stopped. A recovery that was stopped does
// not say any more what it did.
type purpose struct {
	Heading string
	Going   string // what is going on while it is under way
	stop    string // the path that stops it, below its page
}

var (
	sending    = purpose{"Send failed deliveries again", "Failed deliveries are being sent again", "stop"}
	discarding = purpose{"Discard parked deliveries", "Parked deliveries are being discarded", "stop"}
	cancels    = purpose{"Cancel deliveries", "Deliveries are being canceled", "stop-canceling"}
	erases     = purpose{"Erase personal data", "Personal data is being erased", "stop-erasing"}
	removes    = purpose{"Remove an organization", "An organization is being removed", "stop-erasing"}
	missed     = purpose{"Send what was missed", "Events that were missed are being sent", "stop"}
	stopped    = purpose{"Recovery", "", ""}
)

// standings are the states of recoveries, as their pages show them.
var standings = map[alotwebhook.RecoveryState]struct {
	purpose
	word string // where it stands
}{
	alotwebhook.RecoveryRunning: {sending, "Sending again"}, alotwebhook.RecoveryDone: {sending, "Done"},
	alotwebhook.RecoveryDiscarding: {discarding, "Discarding"}, alotwebhook.RecoveryDiscarded: {discarding, "Discarded"},
	alotwebhook.RecoveryCanceling: {cancels, "Canceling"}, alotwebhook.RecoveryCanceled: {cancels, "Canceled"},
	alotwebhook.RecoveryErasing: {erases, "Erasing"}, alotwebhook.RecoveryErased: {erases, "Erased"},
	alotwebhook.RecoveryRemoving: {removes, "Removing"}, alotwebhook.RecoveryRemoved: {removes, "Removed"},
	alotwebhook.RecoverySending: {missed, "Sending missed"}, alotwebhook.RecoverySent: {missed, "Sent"},
	alotwebhook.RecoveryStopped: {stopped, "Stopped"},
}

// underWay are the states in which a recovery goes on.
var underWay = []alotwebhook.RecoveryState{
	alotwebhook.RecoveryRunning, alotwebhook.RecoveryDiscarding, alotwebhook.RecoveryCanceling,
	alotwebhook.RecoverySending, alotwebhook.RecoveryErasing, alotwebhook.RecoveryRemoving,
}

// Purpose returns what it does.
func (r recoveryRow) Purpose() purpose { return standings[r.State].purpose }

// Done returns how much of that is done, in words.
func (r recoveryRow) Done() string {
	switch r.Purpose() {
	case sending:
		return count(r.Recovered, "delivery", "deliveries") + " sent again"
	case discarding:
		return count(r.Skipped, "delivery", "deliveries") + " discarded"
	case cancels:
		return count(r.Skipped, "delivery", "deliveries") + " canceled"
	case missed:
		return count(r.Recovered, "event", "events") + " sent"
	case erases:
		return count(r.Skipped, "event", "events") + " erased"
	case removes:
		return count(r.Skipped, "row", "rows") + " removed"
	}
	if r.Recovered == 0 && r.Skipped > 0 {
		return count(r.Skipped, "delivery or event", "deliveries or events") + " canceled, erased or passed over"
	}
	return count(r.Recovered, "delivery", "deliveries") + " sent again"
}

// Sends reports whether it sends deliveries again.
func (r recoveryRow) Sends() bool { return r.Purpose() == sending }

// Removes reports whether it removes an organization, which has no end in time.
func (r recoveryRow) Removes() bool { return r.Purpose() == removes }

// Many reports whether it is one over many endpoints.
func (r recoveryRow) Many() bool { return isID(recoveryPrefix, r.EndpointID) }

// Word returns where it stands.
func (r recoveryRow) Word() string {
	return cmp.Or(standings[r.State].word, recoveryWord(r.State))
}

// Icon returns the name of the shape for that.
func (r recoveryRow) Icon() string {
	switch {
	case r.State.Active():
		return "pending"
	case r.State == alotwebhook.RecoveryStopped:
		return "parked"
	}
	return "delivered"
}

// StopRoute returns the route that stops it, and StopPath its path; "" if it has ended.
func (r recoveryRow) StopRoute() string { return r.below("/recoveries/{id}") }

// StopPath returns the path that stops it; "" if it has ended.
func (r recoveryRow) StopPath() string { return r.below(r.Page) }

func (r recoveryRow) below(page string) string {
	if !r.State.Active() {
		return ""
	}
	return page + "/" + r.Purpose().stop
}

func (v *visit) recoveryRow(r alotwebhook.Recovery) recoveryRow {
	row := recoveryRow{Recovery: r, Page: v.base + "/recoveries/" + r.EndpointID}
	if r.OrganizationID != "" {
		row.Pages = v.baseOf(r.OrganizationID)
	}
	return row
}

const (
	// recoveriesShown is how far back the list of recoveries goes.
	recoveriesShown = 30 * 24 * time.Hour
	// recoveriesListed is how many it has.
	recoveriesListed = 100
	// recoveriesRead is how many one question for it returns at most.
	recoveriesRead = 200
)

// newestRecoveries returns the recoveries over many endpoints that were begun since then, newest first:
// no more than it takes to fill the list and to see that there are others. A store lists them in the order
// of their ids, oldest first, so it is asked for a stretch of time at a time, the newest first. A stretch
// that has more than one answer holds is asked for in parts.
func (v *visit) newestRecoveries(since time.Time) (newest []alotwebhook.Recovery, err error) {
	since = since.Truncate(time.Millisecond) // which ids have
	until := time.Now().Add(24 * time.Hour)  // the clocks of processes differ
	for stretch := until.Sub(since); len(newest) <= recoveriesListed && until.After(since); {
		from := until.Add(-stretch).Truncate(time.Millisecond)
		if from.Before(since) {
			from = since
		}
		found, whole, err := v.recoveriesBetween(from, until)
		switch {
		case err != nil:
			return nil, err
		case !whole && stretch > time.Millisecond:
			stretch = max(stretch/8, time.Millisecond)
		default:
			slices.Reverse(found)
			newest = append(newest, found...)
			until, stretch = from, stretch*8
		}
	}
	return newest, nil
}

// recoveriesBetween returns the oldest of the recoveries that were begun in that time, and whether these
// are all of them.
func (v *visit) recoveriesBetween(from, until time.Time) (found []alotwebhook.Recovery, whole bool, err error) {
	found, next, err := v.dispatcher.Recoveries(v.r.Context(), alotwebhook.RecoveryFilter{
		Many: true, Cursor: typeid.First("rec", from), Limit: recoveriesRead,
	})
	end := typeid.First("rec", until)
	n := slices.IndexFunc(found, func(r alotwebhook.Recovery) bool { return r.EndpointID >= end })
	if n >= 0 {
		return found[:n], true, err
	}
	return found, next == "", err
}

// runningRecoveries returns the recoveries over many endpoints that are under way, up to
// listedRecoveries of each kind.
func (v *visit) runningRecoveries() (rows []recoveryRow, err error) {
	for _, state := range underWay {
		page, _, err := v.dispatcher.Recoveries(v.r.Context(), alotwebhook.RecoveryFilter{State: state, Many: true, Limit: listedRecoveries})
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			rows = append(rows, v.recoveryRow(r))
		}
	}
	slices.SortFunc(rows, func(a, b recoveryRow) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return rows, nil
}

// recoveriesView is the list of recoveries.
type recoveriesView struct {
	Rows   []recoveryRow
	Active bool // one of them is under way, so the page updates itself often
	More   bool // there are more than are shown
}

func (o *operatorPages) listRecoveries(v *visit) error {
	if readQuery(v.r, flashName).err() != nil {
		return errAddress
	}
	running, err := v.runningRecoveries()
	if err != nil {
		return err
	}
	found, err := v.newestRecoveries(time.Now().Add(-recoveriesShown))
	if err != nil {
		return err
	}
	data := recoveriesView{Rows: running, Active: len(running) > 0}
	for _, r := range found {
		if data.More = len(data.Rows) == recoveriesListed; data.More {
			break
		}
		if !r.State.Active() || !slices.ContainsFunc(running, func(of recoveryRow) bool { return of.EndpointID == r.EndpointID }) {
			data.Rows = append(data.Rows, v.recoveryRow(r))
		}
	}
	return v.show(http.StatusOK, "operator_recoveries", view{Heading: "Recoveries", Section: "recoveries", Data: data})
}

// recovery returns the recovery whose id is in the path: its own, or that of its endpoint.
func (v *visit) recovery() (alotwebhook.Recovery, error) {
	return v.dispatcher.Recovery(v.r.Context(), v.r.PathValue("id"))
}

func (o *operatorPages) showRecovery(v *visit) error {
	if readQuery(v.r, flashName).err() != nil {
		return errAddress
	}
	r, err := v.recovery()
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "operator_recovery", view{Heading: "Recovery", Section: "recoveries", Data: v.recoveryRow(r)})
}

// stopping returns the handler that stops the recoveries that are stopped by that path. What such a
// recovery does is what the rights of the route are about.
func stopping(path string) func(*visit) error {
	return func(v *visit) error {
		if _, err := readForm(v.r); err != nil {
			return err
		}
		r, err := v.recovery()
		if err != nil {
			return err
		}
		if p := v.recoveryRow(r).Purpose(); p != stopped && p.stop != path {
			return errNoPage
		}
		if _, err := v.dispatcher.StopRecovery(v.r.Context(), r.EndpointID); err != nil {
			return err
		}
		return v.redirect("recoveries/"+r.EndpointID, "ended")
	}
}
