// Package settings is what a host mounts so that its customers manage their
// webhooks: endpoints, and the history of what was delivered to them.
//
//	api, err := settings.NewAPI(dispatcher, &settings.Options{Organization: authenticate})
//	mux.Handle("/v1/webhooks", api)
//	mux.Handle("/v1/webhooks/", api)
//
//	pages, err := settings.NewPages(dispatcher, &settings.Options{Organization: session})
//	mux.Handle("/settings/webhooks/", pages)
//
// Under a prefix of the host's own, wrap them:
//
//	mux.Handle("/public/", http.StripPrefix("/public", api))
//
// # Who may do what
//
// The host authenticates: [Options.Organization] names the organization that a
// request speaks for. Nothing else of a request decides that, and what belongs
// to another organization answers as if it did not exist.
//
// # Management API
//
//	POST   /v1/webhooks                            register an endpoint
//	GET    /v1/webhooks                            the endpoints, oldest first
//	GET    /v1/webhooks/{id}                       one endpoint
//	PATCH  /v1/webhooks/{id}                       change it: url, events, description, disabled
//	DELETE /v1/webhooks/{id}                       delete it
//	POST   /v1/webhooks/{id}/rotate-secret         give it its next secret
//	POST   /v1/webhooks/{id}/test                  send it a test event
//	POST   /v1/webhooks/{id}/recover               send again all that failed; GET tells how far, DELETE stops
//	GET    /v1/webhooks/{id}/deliveries            its history, newest first
//	GET    /v1/webhooks/deliveries/{id}            one delivery with its attempts and payload
//	POST   /v1/webhooks/deliveries/{id}/redeliver  send it again
//	GET    /v1/webhooks/event-types                the catalogue
//	GET    /v1/webhooks/openapi.json               all of this, in OpenAPI 3.1: see [OpenAPI]
//
// Requests and answers are JSON in camelCase. Lists have a nextCursor while
// there is more, to be given back as ?cursor= with the same filters. Refusals
// are problem details (RFC 9457) whose errors name the fields. What is not
// understood, such as an unknown key or parameter, is refused and never ignored.
// A secret is shown once, if it was made here, and never again.
//
// An endpoint has an ETag. A PATCH or DELETE with If-Match is refused with 412
// when it was changed since; without, the change is made to whatever it is now.
//
// A POST with an Idempotency-Key does its work once, and refuses the key with
// 422 for another request:
//
//   - Registering, rotating and testing are found again in every process and
//     after restarts: an endpoint for 24 hours, a test event for ten minutes, a
//     rotation for as long as its secret is the newest. The answer is the same,
//     a secret that was made included, as long as it was not rotated since. That
//     the key came with another body is then told by what it made, where that
//     still shows it.
//   - Redelivering and recovering are remembered by the process that answered,
//     for 24 hours, and up to 1,000 keys in all.
//
// A request that changes something and comes from a page of another site is
// refused, unless it has an Authorization header, which no page can add unasked.
//
// # Pages
//
//	/                            the endpoints; what needs attention comes first
//	/new                         register an endpoint
//	/{endpoint}                  its last 24 hours and latest deliveries, test, recover
//	/{endpoint}/edit             also rotate, delete
//	/history                     all deliveries, by ?endpoint=, status=, type=, since=, until=, event=
//	/deliveries/{delivery}       the payload and every attempt
//
// They are below wherever they are mounted, work without script, and keep
// nothing: no session, no cookie.
package settings

import (
	"cmp"
	"log/slog"
	"net/http"

	"github.com/alot/alotwebhook"
)

// Options say how the settings fit into the host.
type Options struct {
	// Organization returns the id of the organization that a request speaks
	// for: the host's own authentication. An error is answered with 401, and so
	// is "", which would otherwise mean everybody's. The error is neither shown nor
	// logged here, since it may quote a token. It must be given.
	Organization func(*http.Request) (string, error)

	// Logger hears of what failed on this side: method, path, organization and
	// error. Defaults to [slog.Default].
	Logger *slog.Logger

	// The rest is for [NewPages] alone.

	// Prefix is the path at which browsers find the pages, such as
	// "/settings/webhooks". Defaults to what each request tells: what
	// [http.StripPrefix] took away, and the pattern under which an
	// [http.ServeMux] or a chi router found the handler. Give it where a proxy
	// in front rewrites paths, or a router does not set the request's Pattern.
	Prefix string

	// Title names the pages, above them and in the window's title.
	// Defaults to "Webhooks".
	Title string

	// Product is the host's own name, shown before the title, and HomeURL where
	// it leads: the way back. LogoURL is an image to go with it, shown 24
	// pixels high. The URLs are absolute, or paths that begin with a slash.
	// Each defaults to none.
	Product, HomeURL, LogoURL string

	// Stylesheet is the URL of a style sheet of the host's, loaded after the
	// pages' own. It may set the custom properties at the beginning of that one:
	// --accent and the other colours, --font and --radius.
	// Defaults to none.
	Stylesheet string
}

// NewAPI returns the management API as a handler. It works at its own path and
// under [http.StripPrefix], with or without a slash at the end.
//
// The error is a [alotwebhook.FieldError]: without a dispatcher or without
// [Options.Organization] there is nothing that could be answered safely.
func NewAPI(d *alotwebhook.Dispatcher, opts *Options) (http.Handler, error) {
	if err := checkHost(d, opts); err != nil {
		return nil, err
	}
	a := &api{
		dispatcher:   d,
		organization: opts.Organization,
		logger:       cmp.Or(opts.Logger, slog.Default()),
		protection:   http.NewCrossOriginProtection(),
	}
	a.routes = a.table()
	var err error
	if a.document, err = describe(d.EventTypes()); err != nil {
		return nil, err
	}
	return a, nil
}

// checkHost refuses what could not be answered with safely.
func checkHost(d *alotwebhook.Dispatcher, opts *Options) error {
	switch {
	case d == nil:
		return &alotwebhook.FieldError{Field: "dispatcher", Problem: "is nil; make one with NewDispatcher"}
	case opts == nil || opts.Organization == nil:
		return &alotwebhook.FieldError{Field: "Organization", Problem: "is nil; without it nobody would be asked who they are"}
	}
	return nil
}
