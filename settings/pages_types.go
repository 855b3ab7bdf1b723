package settings

import (
	"net/http"
	"slices"
	"strings"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/eventtype"
)

// typesView is the page of the event types.
type typesView struct {
	Types     []typeView
	Versions  []string // of payloads, from the oldest to today's
	Wildcards bool
}

// Current returns today's version of payloads; "" if there are none.
func (t typesView) Current() string {
	if len(t.Versions) == 0 {
		return ""
	}
	return t.Versions[len(t.Versions)-1]
}

// typeView is an event type on that page.
type typeView struct {
	alotwebhook.EventType
	Fields         []schemaField
	More           bool   // the schema says more than Fields
	Schema, Sample string // indented; "" if there is none
	Exact          string // the example as it is sent, in base64
}

func (v *visit) listTypes() error {
	if readQuery(v.r).err() != nil {
		return errAddress
	}
	var data typesView
	data.Wildcards, data.Versions = v.dispatcher.Offers()
	for _, t := range v.dispatcher.EventTypes() {
		one := typeView{EventType: t, Schema: pretty(t.Schema), Sample: pretty(t.Example), Exact: exactly(t.Example)}
		one.Fields, one.More = fieldsOf(t.Schema)
		data.Types = append(data.Types, one)
	}
	return v.show(http.StatusOK, "types", view{Heading: "Event types", Section: "types", Data: data})
}

// wide is a subscription with a star, as forms offer it and pages explain it.
type wide struct {
	Name  string
	Today []string // the event types that it includes now
}

// All reports whether it includes every type.
func (w wide) All() bool { return w.Name == eventtype.All }

// wides returns the subscriptions with a star that a form offers: to everything, to what two types or
// more begin with, and those that are chosen already, also if the host allows no new ones.
func wides(types []alotwebhook.EventType, allowed bool, chosen []string) (list []wide) {
	var names []string
	members := map[string]int{}
	if allowed {
		names = append(names, eventtype.All)
		for _, t := range types {
			for _, name := range eventtype.Names(t.Name)[1:] {
				if members[name]++; members[name] == 2 && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	for _, name := range chosen {
		if isWide(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		list = append(list, widened(types, name))
	}
	return list
}

// widened returns a subscription with what it includes now.
func widened(types []alotwebhook.EventType, name string) wide {
	w := wide{Name: name}
	for _, t := range types {
		if eventtype.Includes([]string{name}, t.Name) {
			w.Today = append(w.Today, t.Name)
		}
	}
	return w
}

func isWide(name string) bool { return strings.HasSuffix(name, eventtype.All) }

// widest leaves out of what was ticked in a form what another of it includes. Nobody who ticks
// everything unticks the rest.
func widest(ticked []string) (names []string) {
	for _, name := range ticked {
		if !slices.ContainsFunc(ticked, func(other string) bool { return eventtype.Covers(other, name) }) {
			names = append(names, name)
		}
	}
	return names
}

// firstOf returns the first type of the catalogue that an endpoint subscribes to, or of its
// subscriptions if none is in the catalogue any more.
func firstOf(types []alotwebhook.EventType, e alotwebhook.Endpoint) string {
	for _, name := range e.EventTypes {
		for _, t := range types {
			if eventtype.Includes([]string{name}, t.Name) {
				return t.Name
			}
		}
	}
	return e.EventTypes[0] // an endpoint has at least one
}
