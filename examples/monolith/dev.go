package main

import (
	"io"
	"net/http"
	"time"
)

// login gives whoever asks a session of the organization, and shows its settings.
func (t tokens) login(w http.ResponseWriter, r *http.Request) {
	organization := r.FormValue("organization")
	if organization == "" {
		refuse(w, http.StatusBadRequest, "say for whom: /dev/login?organization="+demo)
		return
	}
	token, err := t.sign(organization)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "no session: "+err.Error())
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: token, Path: "/", MaxAge: int(tokenLifetime / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, // and Secure, were this not for loopback
	})
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, pagesPath, http.StatusSeeOther)
}

// receive stands in for customers' services, so that what is seen in the pages
// goes on happening. It verifies nothing: see examples/receiver for one that does.
func receive(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20))
	switch r.PathValue("kind") {
	case "crm":
		answer(w, http.StatusInternalServerError, map[string]string{"error": "relation \"candidates\" does not exist"})
	case "analytics":
		time.Sleep(150 * time.Millisecond) // slow, not broken
		answer(w, http.StatusAccepted, map[string]bool{"queued": true})
	default:
		answer(w, http.StatusOK, map[string]bool{"received": true})
	}
}
