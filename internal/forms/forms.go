// Package forms makes payloads whose data has an earlier form, by functions of the host.
package forms

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/envelope"
	"github.com/alot/alotwebhook/internal/loglimit"
	"github.com/alot/alotwebhook/internal/text"
)

// maxVersion is the longest name of a version, in bytes.
const maxVersion = 64

// Func makes the data of a version from today's.
type Func = func(data json.RawMessage) (json.RawMessage, error)

// Forms knows the versions, and how to make their payloads. Its zero value knows none.
type Forms struct {
	// Host calls the functions.
	Host *caught.Host

	versions []string // from the oldest to today's
	older    map[form]Func
	told     loglimit.Limiter // by version
}

type form struct{ version, eventType string }

// New returns the forms of these versions, or what is wrong with the first wrong one, by its index.
func New(versions []string) (f *Forms, i int, problem string) {
	for i, v := range versions {
		switch {
		case v == "" || len(v) > maxVersion || strings.ContainsFunc(v, notOfVersion):
			return nil, i, fmt.Sprintf("%q is not 1 to %d letters, digits, dots, hyphens and underscores", text.Clip(v, maxVersion), maxVersion)
		case slices.Contains(versions[:i], v):
			return nil, i, fmt.Sprintf("%q stands twice", v)
		}
	}
	return &Forms{versions: slices.Clone(versions), older: map[form]Func{}}, 0, ""
}

func notOfVersion(c rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", c)
}

// Add adds the earlier forms of an event type, by version, or returns what is wrong with one.
func (f *Forms) Add(eventType string, older map[string]Func) (problem string) {
	for _, v := range slices.Sorted(maps.Keys(older)) {
		switch i := slices.Index(f.versions, v); {
		case i < 0 || i == len(f.versions)-1:
			return fmt.Sprintf("has %q, which is not one of PayloadVersions before the last", text.Clip(v, maxVersion))
		case older[v] == nil:
			return fmt.Sprintf("has no function for %q; leave the version out if its data was as today's", v)
		}
		f.older[form{v, eventType}] = older[v]
	}
	return ""
}

// Versions returns the versions, from the oldest to today's.
func (f *Forms) Versions() []string { return slices.Clone(f.versions) }

// Current returns today's version; "" if there are none.
func (f *Forms) Current() string {
	if len(f.versions) == 0 {
		return ""
	}
	return f.versions[len(f.versions)-1]
}

// Problem returns what is wrong with the version that somebody asks for, or "".
func (f *Forms) Problem(version string) string {
	switch {
	case version == "" || slices.Contains(f.versions, version):
		return ""
	case len(f.versions) == 0:
		return "is not offered here; leave it out"
	}
	return fmt.Sprintf("%q is none of %s", text.Clip(version, maxVersion), strings.Join(f.versions, ", "))
}

// ErrUnknown says that an endpoint has a version that there is not any more.
var ErrUnknown = errors.New("alotwebhook: the version is not one of Config.PayloadVersions")

// Payload returns a payload as a version has it: the same bytes, unless there is a function for that
// version of the event type. "" stands for the oldest version, since an endpoint without one is from
// the time before there were any. The error is ErrUnknown, or the function's, or says how it failed.
func (f *Forms) Payload(version, eventType string, payload []byte) ([]byte, error) {
	if version == "" && len(f.versions) > 0 {
		version = f.versions[0]
	}
	older := f.older[form{version, eventType}]
	switch {
	case older == nil && (version == "" || slices.Contains(f.versions, version)):
		return payload, nil
	case older == nil:
		return nil, ErrUnknown
	}
	e, err := envelope.Parse(payload, "evt")
	if err != nil {
		return nil, err
	}
	err = f.Host.Apart("EventType.Versions", func() (err error) {
		e.Data, err = older(e.Data)
		return err
	})
	if err != nil {
		return nil, err
	}
	if problem := envelope.DataProblem(e.Data); problem != "" {
		return nil, fmt.Errorf("alotwebhook: the data that the function returned %s", problem)
	}
	return e.Payload(), nil
}

// Tell logs that a payload could not be made, at most ten times a minute for a version.
func (f *Forms) Tell(log *slog.Logger, err error, version string, about ...any) {
	missed, ok := f.told.Allow(version)
	if !ok {
		return
	}
	args := append(about[:len(about):len(about)], "version", version, "error", err)
	if missed > 0 {
		args = append(args, "missed", missed)
	}
	log.Error("alotwebhook: payload version not made; mend EventType.Versions, then recover what has failed with the reason conversion", args...)
}
