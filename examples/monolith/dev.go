package main

import (
	"io"
	"net/http"
	"time"
)

// login gives anybody a session of an organization, and redirects to its settings pages.
func (t tokens) login(w http.ResponseWriter, r *http.Request) {
	organization := r.FormValue("organization")
	if organization == "" {
		refuse(w, http.StatusBadRequest, "name the organization: /dev/login?organization="+demo)
		return
	}
	token, err := t.sign(organization, r.FormValue("role"))
	if err != nil {
		refuse(w, http.StatusInternalServerError, "cannot make a session: "+err.Error())
		return
	}
	setSession(w, sessionCookie, token)
	http.Redirect(w, r, pagesPath, http.StatusSeeOther)
}

func setSession(w http.ResponseWriter, cookie, token string) {
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: token, Path: "/", MaxAge: int(tokenLifetime / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, // in production, add Secure: this is for http on loopback
	})
	w.Header().Set("Cache-Control", "no-store")
}

// receive stands for the customers' services, so that the demonstration's endpoints go on
// as in their history. It does not verify signatures; examples/receiver does.
func receive(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20))
	switch r.PathValue("kind") {
	case "crm":
		respond(w, http.StatusInternalServerError, map[string]string{"error": "relation \"candidates\" does not exist"})
	case "analytics":
		time.Sleep(150 * time.Millisecond) // this service is slow, but works
		respond(w, http.StatusAccepted, map[string]bool{"queued": true})
	default:
		respond(w, http.StatusOK, map[string]bool{"received": true})
	}
}
