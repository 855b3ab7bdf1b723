// Package settings lets the customers of a host manage their webhooks: their
// endpoints, and the history of the deliveries to them. It has a management API
// and pages for a browser. A host mounts one of the two, or both:
//
//	api, err := settings.NewAPI(dispatcher, &settings.Options{Organization: authenticate})
//	mux.Handle("/v1/webhooks", api)
//	mux.Handle("/v1/webhooks/", api)
//
//	pages, err := settings.NewPages(dispatcher, &settings.Options{Organization: session})
//	mux.Handle("/settings/webhooks/", pages)
//
// To mount a handler below a prefix of the host, strip the prefix:
//
//	mux.Handle("/public/", http.StripPrefix("/public", api))
//
// # Who may do what
//
// The host authenticates each request: [Options.Organization] returns the id of
// the organization that the request speaks for. Nothing else in a request has a
// say in that. A request for something of another organization gets the same
// response as a request for something that does not exist.
//
// [Options.May] says what a request may do of what there is to do: [ActionLook],
// [ActionPayloads], [ActionChange], [ActionSend] and [ActionSecrets]. Without May, it may do
// everything. Every route of the API and of the pages takes ActionLook. Those that change an
// endpoint take ActionChange, those that have something sent ActionSend, rotating takes
// ActionSecrets, and adding an endpoint takes ActionChange and ActionSecrets, because its
// secret is shown then or chosen. So does giving or removing an endpoint's own headers and client
// certificate, whose values no response has. What a request may not do gets 403: the problem of the API
// names what is missing, and the pages do not offer it. Without ActionPayloads, payloads and
// response bodies are left out, and a delivery says "payloadsHidden" in their place.
//
// # Management API
//
//	POST   /v1/webhooks                            register an endpoint
//	GET    /v1/webhooks                            list the endpoints, oldest first (by the minute from page to page)
//	GET    /v1/webhooks/{id}                       read an endpoint
//	PATCH  /v1/webhooks/{id}                       change its url, events, description, headers and so on
//	DELETE /v1/webhooks/{id}                       delete it
//	POST   /v1/webhooks/{id}/rotate-secret         rotate its secret
//	POST   /v1/webhooks/{id}/test                  send it a test event
//	POST   /v1/webhooks/{id}/recover               send all failed deliveries again
//	GET    /v1/webhooks/{id}/recover               read how far that recovery is
//	DELETE /v1/webhooks/{id}/recover               stop that recovery
//	GET    /v1/webhooks/{id}/deliveries            list its deliveries, newest first
//	GET    /v1/webhooks/deliveries                 list the deliveries to all endpoints, newest first
//	GET    /v1/webhooks/events/{id}                read an event, and what became of it
//	GET    /v1/webhooks/deliveries/{id}            read a delivery with its attempts and payload
//	POST   /v1/webhooks/deliveries/{id}/redeliver  send a delivery again
//	GET    /v1/webhooks/operations                 list what happened to endpoints, and who did it, newest first
//	GET    /v1/webhooks/event-types                list the event types of the catalogue
//	GET    /v1/webhooks/openapi.json               read the OpenAPI 3.1 document: see [OpenAPI]
//
// Requests and responses are JSON in camelCase. A list has a nextCursor while
// there may be more: give it back as ?cursor= with the same filters. An error is
// a problem detail (RFC 9457), and its errors name the fields. The API refuses
// a key or a parameter that it does not know, and never ignores one. A secret
// that the API generates is in the response to the request that had it generated
// and, if that came with an Idempotency-Key, in those to the same request repeated
// within ten minutes. No other response has it.
//
// An endpoint has an ETag. A PATCH or DELETE with If-Match gets 412 if the
// endpoint was changed after that ETag was read. Without If-Match the request
// changes the endpoint whatever its version is. A GET with If-None-Match gets 304
// while the endpoint is shown just as then. What a proxy that compresses makes of an
// ETag, W/"1" or "1-gzip", is taken as well.
//
// A POST with an Idempotency-Key does its work once, however often it is
// repeated. The same key with a different request gets 422. How long a key is
// remembered depends on the request:
//
//   - Registering, rotating and testing: every process knows the key, also after
//     a restart. An endpoint is found for 24 hours, a test event for ten minutes,
//     a rotation while its secret is the endpoint's newest. The repeated request
//     gets the first response again. It has a generated secret for ten minutes,
//     unless the endpoint was changed since it was registered. A different request
//     is noticed by what the first one made, as far as that still shows it.
//   - Redelivering and recovering: only the process that responded knows the key,
//     for 24 hours. A process remembers up to 1,000 keys.
//
// A request that changes something is refused with 403 if a page of another site
// sent it, unless [Options.TrustedOrigins] names that site. A request with a bearer
// token is exempt, because no page of another site can add one. Credentials that
// browsers add by themselves, such as Basic and Negotiate, exempt no request.
//
// # Pages
//
//	/                            the endpoints; those that need attention come first
//	/new                         add an endpoint
//	/{endpoint}                  its last 24 hours, latest deliveries and changes; test, recover, delete
//	/{endpoint}/edit             change it
//	/{endpoint}/rotate           rotate its secret
//	/history                     all deliveries, by ?endpoint=, status=, type=, since=, until=, event=
//	/deliveries/{delivery}       a delivery's payload and attempts; redeliver
//
// The paths are relative to the place where the host mounts the pages. The pages
// work without script, and they use no session and no cookie of their own.
//
// # Operators
//
// [NewOperatorPages] is for the people who run the host, who see all organizations. What they may
// do says [OperatorOptions.May], which is asked about [ActionPause], [ActionCancel] and [ActionErase], too.
package settings

import (
	"log/slog"
	"net/http"

	"github.com/alot/alotwebhook"
)

// Options say how the API or the pages fit into the host.
type Options struct {
	// Organization returns the id of the organization that a request speaks
	// for, by the host's own authentication. A request gets 401 if Organization
	// returns an error, or "", which would otherwise select every organization.
	// The error is neither shown nor logged, because it may quote a token.
	// Organization is required.
	Organization func(*http.Request) (string, error)

	// May reports whether a request may do something, by the host's own roles. It is asked
	// in each request that Organization has let in, once for every action and before
	// anything is done: put what it has to look up into the request's context. What a request
	// may not do gets 403, and the pages do not offer it. If May panics, the request has
	// neither changed nor shown anything. Return false for an action that you do not know.
	// Defaults to allowing everything.
	May func(*http.Request, Action) bool

	// Actor returns the name of who makes a request, for the operations that tell of what it
	// changes: see [alotwebhook.WithActor]. The organization reads it in the API and the pages.
	// Defaults to nil: they name nobody.
	Actor func(*http.Request) string

	// Logger gets a record of each request that failed because of an error of
	// the dispatcher or its store, with method, path, organization and error.
	// Defaults to the dispatcher's: [alotwebhook.Config.Logger].
	Logger *slog.Logger

	// TrustedOrigins are sites whose pages may change something, besides the site that
	// a request is for. Each is the value that browsers send in the Origin header, such
	// as "https://app.example.com". Name the site under which browsers see the host if a
	// proxy in front of it rewrites Host: a browser that sends no Sec-Fetch-Site, as over
	// http, or an older one, seems to come from another site otherwise. A trusted site
	// can do all that its visitor may do. An origin that no browser would send is refused.
	// Defaults to none.
	TrustedOrigins []string

	// The fields from here on are for [NewPages] alone.

	// Prefix is the path at which browsers find the pages, such as
	// "/settings/webhooks". By default each request tells it: by the part that
	// [http.StripPrefix] removed, and by the pattern under which an
	// [http.ServeMux] or a chi router found the handler. Set Prefix if a proxy
	// in front rewrites paths, or if a router does not set the request's Pattern.
	Prefix string

	// Title is the name of the pages in their header and in the window's title.
	// Defaults to "Webhooks".
	Title string

	// Product is the name of the host, shown before the title. HomeURL is where
	// it links to. LogoURL is an image shown beside it, 24 pixels high. Both
	// URLs are absolute http or https URLs, or paths that begin with one slash.
	// Each defaults to none.
	Product, HomeURL, LogoURL string

	// LoginURL is the page of the host at which people sign in, a URL as the others. Somebody
	// whose session has ended is shown a link to it. If it has {return} in it, as in
	// "/login?next={return}", the path and query of the page to come back to stand there,
	// percent-encoded: follow it only if it begins with one slash.
	// Defaults to none.
	LoginURL string

	// Stylesheet is the URL of a style sheet of the host, loaded after that of
	// the pages. It may set the custom properties at the beginning of
	// static/pages.css: --accent and the other colours, --font and --radius.
	// Defaults to none.
	Stylesheet string
}

// returnMark is what stands in [Options.LoginURL] for the page to come back to.
const returnMark = "{return}"

// checkHost refuses a missing dispatcher, and options without authentication.
func checkHost(d *alotwebhook.Dispatcher, opts *Options) error {
	switch {
	case d == nil:
		return &alotwebhook.FieldError{Field: "dispatcher", Problem: "is nil; make one with NewDispatcher"}
	case opts == nil || opts.Organization == nil:
		return &alotwebhook.FieldError{Field: "Organization", Problem: "is nil; give the function that authenticates a request"}
	}
	return nil
}
