package main

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

// routes returns the handler of the whole product: its own API, and the settings behind its
// own authentication.
func routes(o *options, db database, d *alotwebhook.Dispatcher, observed *observed, log *slog.Logger) (http.Handler, error) {
	auth := tokens{o.secret}
	webhooks, err := settings.NewAPI(d, &settings.Options{Organization: auth.organization, May: mayOnly(auth.bearer), Logger: log})
	if err != nil {
		return nil, err
	}
	pages, err := settings.NewPages(d, &settings.Options{
		Organization: auth.visitor, May: mayOnly(auth.session), Logger: log, Product: "ALOT", HomeURL: "/",
	})
	if err != nil {
		return nil, err
	}
	c := &candidates{db: db, dispatcher: d, caller: auth.bearer, log: log}
	mux := http.NewServeMux()
	mux.Handle("/v1/webhooks", webhooks)
	mux.Handle("/v1/webhooks/", webhooks)
	mux.Handle(pagesPath, pages)
	mux.HandleFunc("POST /v1/candidates/{sessionId}/complete", c.complete)
	mux.HandleFunc("GET /v1/candidates/{sessionId}", c.read)
	if err := observed.routes(mux, d); err != nil {
		return nil, err
	}
	if o.observe {
		if err := auth.routesOfOperators(mux, d); err != nil {
			return nil, err
		}
		mux.HandleFunc("GET /dev/operator", auth.operatorLogin)
	}
	if o.dev {
		mux.HandleFunc("GET /dev/token", auth.give)
		mux.HandleFunc("GET /dev/login", auth.login)
		mux.HandleFunc("POST /dev/receiver/{kind}", receive)
		mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
		mux.Handle("GET /{$}", http.RedirectHandler(pagesPath, http.StatusSeeOther))
	}
	return mux, nil
}

// pagesPath is the path of the settings pages.
const pagesPath = "/settings/webhooks/"

// respond sends v as JSON.
func respond(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only if the client has gone
}

// refuse sends problem details (RFC 9457), as package settings does.
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	respond(w, status, map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}
