package moving

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Importer registers endpoints with a service.
type Importer struct {
	Service *Service
	Ledger  *Ledger
	// DryRun changes nothing, neither at the service nor in the ledger.
	DryRun bool
	// Types gives event types of the old sender their names here. DropTypes are left out.
	Types     map[string]string
	DropTypes []string
	// Organizations are all that the export has, by their names here, also where a part of it is imported.
	Organizations []string
	// IgnoreUnsupported imports an endpoint also if the new sender would do less for it.
	IgnoreUnsupported bool
	// KeepSecret gets the secret that was generated for an endpoint without one. If it is nil,
	// such an endpoint is refused: nobody could verify what is sent to it.
	KeepSecret func(Endpoint, string) error
	// Report is told of each endpoint, in the order of the export.
	Report func(Result)

	exported   map[string]bool         // the names of the endpoints of this run
	catalogues map[string]*catalogue   // by organization
	present    map[string][]registered // by organization
}

// Outcome is what became of an endpoint, or what would.
type Outcome string

// These are the outcomes.
const (
	Created   Outcome = "created"
	Changed   Outcome = "changed"
	Unchanged Outcome = "unchanged"
	Refused   Outcome = "refused"
	NotDone   Outcome = "not done" // the import ended before
)

// Result is one line of what an import tells.
type Result struct {
	Outcome  Outcome
	Endpoint Endpoint // with the organization that it has here
	ID       string   // its id here, if it has one
	Detail   string   // what is changed, or why it is refused; never a secret
}

// refusedError refuses one endpoint.
type refusedError string

func (e refusedError) Error() string { return string(e) }

func refusef(format string, args ...any) error { return refusedError(fmt.Sprintf(format, args...)) }

// Run imports the endpoints, whose organizations have their names here (see [Renamed]), and goes on after those
// that are refused. It returns an error if it ended before all were done; the rest are reported as not done.
func (im *Importer) Run(ctx context.Context, endpoints []Endpoint) error {
	im.catalogues, im.present = map[string]*catalogue{}, map[string][]registered{}
	im.exported = map[string]bool{}
	for _, e := range endpoints {
		im.exported[e.name()] = true
	}
	for i, e := range endpoints {
		result, err := im.one(ctx, e)
		var refused refusedError
		switch {
		case errors.As(err, &refused):
			result = Result{Outcome: Refused, ID: result.ID, Detail: string(refused)}
		case err != nil && ends(err):
			for _, e := range endpoints[i:] {
				im.Report(Result{Outcome: NotDone, Endpoint: e})
			}
			return err
		case err != nil:
			result = Result{Outcome: Refused, ID: result.ID, Detail: saidOf(err)}
		}
		result.Endpoint = e
		im.Report(result)
	}
	return nil
}

// saidOf returns what a service says of what it refuses.
func saidOf(err error) string {
	e := (*StatusError)(nil)
	switch {
	case !errors.As(err, &e):
	case e.Status == http.StatusUnprocessableEntity && slices.Contains(e.fields, "Idempotency-Key"):
		return "it was registered within the last day with other values, and its line is not in this map: import it with the map of then, or delete it there and import it tomorrow"
	case e.Detail != "":
		return e.Detail
	}
	return err.Error()
}

// one imports one endpoint.
func (im *Importer) one(ctx context.Context, e Endpoint) (Result, error) {
	if err := im.acceptable(&e); err != nil {
		return Result{}, err
	}
	if err := im.adopt(&e); err != nil {
		return Result{}, err
	}
	want, all, err := im.wanted(ctx, &e)
	if err != nil {
		return Result{}, err
	}
	if known := im.Ledger.entries[[2]string{e.Organization, e.name()}]; known.ID != "" {
		return im.again(ctx, &e, known, want)
	}
	return im.create(ctx, &e, want, all)
}

// adopt gives an endpoint the organization that it has in the map. The customers' API is not told of
// organizations: whatever this export calls the one that it speaks for, the endpoint is the same.
func (im *Importer) adopt(e *Endpoint) error {
	if im.Service.KnowsOrganizations() {
		return nil
	}
	lines := im.Ledger.begun(e.name())
	switch {
	case slices.ContainsFunc(lines, func(known entry) bool { return known.Organization == e.Organization }):
	case len(lines) > 1:
		return refusef("the map has %s for several organizations, such as %q and %q; say in the export which one it is of", e.shown(), lines[0].Organization, lines[1].Organization)
	case len(lines) == 1:
		e.Organization = lines[0].Organization
	}
	return nil
}

// acceptable refuses what cannot be meant before anything is asked.
func (im *Importer) acceptable(e *Endpoint) error {
	switch {
	case im.Service.KnowsOrganizations() && e.Organization == "":
		return refusef("it belongs to no organization; add organizationId to the export")
	case len(e.Unsupported) > 0 && !im.IgnoreUnsupported:
		return refusef("it would be imported without %s", strings.Join(e.Unsupported, "; without "))
	case slices.ContainsFunc(e.Headers, func(h Header) bool { return h.Value == "" }):
		return refusef("a header of its own has no value, since an API shows none; add it to the export, or leave the header out")
	case e.Secret == "" && im.KeepSecret == nil:
		return refusef("it has no secret; with --new-secrets it gets one, which its receiver has to be given")
	case e.Secret != "" && secretProblem(e.Secret) != "":
		return refusef("%s", secretProblem(e.Secret))
	}
	return nil
}

// wanted returns what the endpoint is to be here. all says that it is to get all event types.
func (im *Importer) wanted(ctx context.Context, e *Endpoint) (want state, all bool, err error) {
	catalogue, err := im.catalogue(ctx, e.Organization)
	if err != nil {
		return state{}, false, err
	}
	names := make([]string, len(catalogue.EventTypes))
	for i, t := range catalogue.EventTypes {
		names[i] = t.Name
	}
	events, missing := eventsOf(e, im.Types, im.DropTypes, names, catalogue.Wildcards)
	switch {
	case len(missing) > 0:
		return state{}, false, refusef("the catalogue has no event type %s; name the one that takes its place with --type, or leave it out with --drop-type", strings.Join(missing, ", "))
	case len(events) == 0:
		return state{}, false, refusef("no event type is left that it would get")
	}
	want = state{URL: e.URL, Description: e.Description, Events: events, Disabled: e.Disabled, Ordered: e.Ordered, Rate: e.Rate, PayloadVersion: e.PayloadVersion}
	return want, !catalogue.Wildcards && slices.Contains(e.Events, Everything), nil
}

func (im *Importer) catalogue(ctx context.Context, organization string) (*catalogue, error) {
	if known, ok := im.catalogues[organization]; ok {
		return known, nil
	}
	found, err := im.Service.eventTypes(ctx, organization)
	if err == nil {
		im.catalogues[organization] = found
	}
	return found, err
}

// create registers an endpoint that is not in the map. If it was begun before, the key finds what
// the service has made of it.
func (im *Importer) create(ctx context.Context, e *Endpoint, want state, all bool) (Result, error) {
	line := im.Ledger.entries[[2]string{e.Organization, e.name()}]
	begun := line.Begun && time.Since(line.At) < keyAge
	if !begun {
		if err := im.unlikeOthers(ctx, e); err != nil {
			return Result{}, err
		}
	}
	detail := told(e, want, all)
	if im.DryRun {
		return Result{Outcome: Created, Detail: detail}, im.rehearse(ctx, e, want)
	}
	if !begun { // else the time stays, that of the key's first request
		line = entry{Organization: e.Organization, OldID: e.name(), OldUID: e.UID, Begun: true}
		if err := im.Ledger.put(line); err != nil {
			return Result{}, err
		}
	}
	made, err := im.Service.create(ctx, e, key("create", e), want)
	if err != nil {
		return Result{}, im.notMade(line, err)
	}
	if e.Secret == "" {
		if err := im.KeepSecret(*e, made.Secret); err != nil {
			return Result{}, fmt.Errorf("%s was registered, but its secret is not kept: %w", made.ID, err)
		}
	}
	line.Begun = false
	line.ID, line.ETag, line.Imported, line.Trace = made.ID, made.etag, &want, trace(e.Organization, e.name(), e.Secret)
	line.HeadersTrace = traceHeaders(e)
	return Result{Outcome: Created, ID: made.ID, Detail: detail}, im.Ledger.put(line)
}

// notMade notes that an endpoint was refused, so that nothing of it can have been registered. After
// another error nobody knows.
func (im *Importer) notMade(line entry, err error) error {
	if ends(err) {
		return err
	}
	line.Begun = false
	if unwritten := im.Ledger.put(line); unwritten != nil {
		return unwritten
	}
	return err
}

// keyAge is for how long the service finds an endpoint by the key that made it, with some time
// to spare.
const keyAge = 23 * time.Hour

// key makes an Idempotency-Key of what is asked for, and for which endpoint. One that was changed
// at the old sender since its registration was begun is not found, and so is told of as a
// further one.
func key(what string, e *Endpoint) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{what, e.Organization, e.name()}, "\x00")))
	return "import-" + hex.EncodeToString(sum[:16])
}

// unlikeOthers refuses an endpoint whose URL the organization has registered already, by itself
// or by an import whose map is lost, and one that another run has registered under another name: it would get
// each event twice. Others of this export do not count: the old sender may have several with one URL.
func (im *Importer) unlikeOthers(ctx context.Context, e *Endpoint) error {
	if line, ok := im.elsewhere(e); ok {
		return refusef("%s is registered already, by the map for %s: give the organization of then, or take another map", line.ID, line.called())
	}
	others, ok := im.present[e.Organization]
	if !ok {
		var err error
		if others, err = im.Service.endpoints(ctx, e.Organization); err != nil {
			return err
		}
		im.present[e.Organization] = others
	}
	for _, other := range others {
		line, imported := im.Ledger.of(other.ID)
		same, isURL := line.OldID == e.name(), canonical(other.URL) == canonical(e.URL)
		switch {
		case isURL && !imported:
			return refusef("%s has its URL already, and is not in the map: the receiver would get each event twice; delete one of them", other.ID)
		case imported && (same || isURL && !im.exported[line.OldID]):
			return refusef("%s is registered already, by the map for %s: the receiver would get each event twice; give the id and the organization of then, or delete one of them", other.ID, line.called())
		}
	}
	return nil
}

// elsewhere returns the entry of an endpoint that an earlier run has registered for an organization that the export
// does not have: it was called otherwise then.
func (im *Importer) elsewhere(e *Endpoint) (entry, bool) {
	for _, line := range im.Ledger.begun(e.name()) {
		if e.ID != "" && line.Imported != nil && canonical(line.Imported.URL) == canonical(e.URL) && !slices.Contains(im.Organizations, line.Organization) {
			return line, true
		}
	}
	return entry{}, false
}

// again carries over what has changed at the old sender since the endpoint was imported. What was
// changed here since is not overwritten.
func (im *Importer) again(ctx context.Context, e *Endpoint, known entry, want state) (Result, error) {
	result := Result{ID: known.ID}
	now, found, err := im.Service.endpoint(ctx, e.Organization, known.ID)
	if err != nil {
		return result, err
	}
	fields := known.differences(want)
	secret := trace(e.Organization, e.name(), e.Secret) != known.Trace && e.Secret != ""
	if secret {
		fields = append(fields, "secret")
	}
	headers := traceHeaders(e) != known.HeadersTrace
	if headers {
		fields = append(fields, "headers")
	}
	switch {
	case !found:
		return result, refusef("%s was deleted here after it was imported", known.ID)
	case len(fields) == 0:
		result.Outcome = Unchanged
		return result, nil
	case now.etag != known.ETag:
		return result, refusef("it was changed at both: here since it was imported, and at its old sender: %s; make that change here by hand", strings.Join(fields, ", "))
	}
	result.Outcome, result.Detail = Changed, strings.Join(fields, ", ")
	if im.DryRun {
		return result, im.rehearse(ctx, e, want)
	}
	return result, im.change(ctx, e, known, want, secret)
}

// change brings an endpoint up to date. Its entry is written after each request, so that another
// import goes on behind it.
func (im *Importer) change(ctx context.Context, e *Endpoint, known entry, want state, secret bool) error {
	if len(known.differences(want)) > 0 || traceHeaders(e) != known.HeadersTrace {
		// Headers come along always: they are not kept for another URL.
		changed, err := im.Service.update(ctx, e, &known, want)
		if err != nil {
			return err
		}
		known.ETag, known.Imported, known.HeadersTrace = changed.etag, &want, traceHeaders(e)
		if err := im.Ledger.put(known); err != nil {
			return err
		}
	}
	if !secret {
		return nil
	}
	rotated, err := im.Service.rotate(ctx, e.Organization, known.ID, key("rotate "+trace(e.Organization, e.name(), e.Secret), e), e.Secret)
	if err != nil {
		return err
	}
	known.ETag, known.Trace = rotated.etag, trace(e.Organization, e.name(), e.Secret)
	return im.Ledger.put(known)
}

// differences names the fields in which the old sender differs from what was imported.
func (e *entry) differences(want state) (fields []string) {
	was := e.Imported
	if was == nil {
		was = &state{}
	}
	for name, differs := range map[string]bool{
		"url": was.URL != want.URL, "description": was.Description != want.Description, "events": !slices.Equal(was.Events, want.Events),
		"disabled": was.Disabled != want.Disabled, "ordered": was.Ordered != want.Ordered, "rate": was.Rate != want.Rate,
		"payloadVersion": was.PayloadVersion != want.PayloadVersion,
	} {
		if differs {
			fields = append(fields, name)
		}
	}
	slices.Sort(fields)
	return fields
}

func namesOf(headers []Header) (names []string) {
	for _, h := range headers {
		names = append(names, h.Name)
	}
	return names
}

// told says what an endpoint is created with.
func told(e *Endpoint, want state, all bool) string {
	parts := []string{fmt.Sprintf("events %s", strings.Join(want.Events, ", "))}
	if all {
		parts[0] = fmt.Sprintf("all %d event types of today", len(want.Events))
	}
	if e.Secret == "" {
		parts = append(parts, "a new secret")
	}
	if len(e.Headers) > 0 {
		parts = append(parts, "headers "+strings.Join(namesOf(e.Headers), ", "))
	}
	if e.Disabled {
		parts = append(parts, "disabled")
	}
	if len(e.Unsupported) > 0 {
		parts = append(parts, "without "+strings.Join(e.Unsupported, "; without "))
	}
	return strings.Join(parts, "; ")
}
