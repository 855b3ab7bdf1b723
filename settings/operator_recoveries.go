package settings

import (
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

// Cancels reports whether it cancels deliveries.
func (r recoveryRow) Cancels() bool {
	return r.State == alotwebhook.RecoveryCanceling || r.State == alotwebhook.RecoveryCanceled
}

// Many reports whether it is one over many endpoints.
func (r recoveryRow) Many() bool { return isID(recoveryPrefix, r.EndpointID) }

// Word returns where it stands.
func (r recoveryRow) Word() string {
	return map[alotwebhook.RecoveryState]string{
		alotwebhook.RecoveryRunning: "Sending again", alotwebhook.RecoveryDone: "Done", alotwebhook.RecoveryStopped: "Stopped",
		alotwebhook.RecoveryCanceling: "Canceling", alotwebhook.RecoveryCanceled: "Canceled",
		alotwebhook.RecoveryDiscarding: "Discarding", alotwebhook.RecoveryDiscarded: "Discarded",
		alotwebhook.RecoverySending: "Sending missed", alotwebhook.RecoverySent: "Sent",
	}[r.State]
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

// StopPath returns the path that stops it, below its page.
func (r recoveryRow) StopPath() string {
	if r.Cancels() {
		return "stop-canceling"
	}
	return "stop"
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
	// recoveriesRead is the most that are read for it: people begin them one by one.
	recoveriesRead = 2000
)

// recoveriesSince returns the recoveries over many endpoints that were begun since then, newest
// first. Their ids are in the order of their beginning.
func (v *visit) recoveriesSince(t time.Time) ([]alotwebhook.Recovery, error) {
	f := alotwebhook.RecoveryFilter{Many: true, Cursor: typeid.First("rec", t)}
	var all []alotwebhook.Recovery
	for len(all) < recoveriesRead {
		page, next, err := v.dispatcher.Recoveries(v.r.Context(), f)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if f.Cursor = next; next == "" {
			break
		}
	}
	slices.Reverse(all)
	return all, nil
}

// runningRecoveries returns the recoveries over many endpoints that are under way, up to
// listedRecoveries of each kind.
func (v *visit) runningRecoveries() (rows []recoveryRow, err error) {
	for _, state := range []alotwebhook.RecoveryState{alotwebhook.RecoveryRunning, alotwebhook.RecoveryCanceling} {
		page, _, err := v.dispatcher.Recoveries(v.r.Context(), alotwebhook.RecoveryFilter{State: state, Many: true, Limit: listedRecoveries})
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			rows = append(rows, v.recoveryRow(r))
		}
	}
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
	found, err := v.recoveriesSince(time.Now().Add(-recoveriesShown))
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

// stop ends a recovery that does what m does.
func (m many) stop(v *visit) error {
	if _, err := readForm(v.r); err != nil {
		return err
	}
	r, err := v.recovery()
	if err != nil {
		return err
	}
	if v.recoveryRow(r).Cancels() != (m.state == alotwebhook.RecoveryCanceling) {
		return errNoPage
	}
	if _, err := v.dispatcher.StopRecovery(v.r.Context(), r.EndpointID); err != nil {
		return err
	}
	return v.redirect("recoveries/"+r.EndpointID, "ended")
}
