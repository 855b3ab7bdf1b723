package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/alot/alotwebhook/settings"
)

const (
	tokenLifetime = 12 * time.Hour
	sessionCookie = "session"
)

// tokens makes and reads the product's bearer tokens: JWTs with HS256.
type tokens struct{ secret []byte }

type claims struct {
	OrganizationID string `json:"organizationId"`
	Role           string `json:"role,omitempty"` // viewer, or none for everything
	jwt.RegisteredClaims
}

// viewer is the role of those who may only look.
const viewer = "viewer"

var (
	errNoToken        = errors.New("there is no bearer token")
	errNoSession      = errors.New("there is no session")
	errNoOrganization = errors.New("the token has no organizationId")
)

// organization returns the organization of the caller, from the bearer token. Package
// settings calls it for each request to the API.
func (t tokens) organization(r *http.Request) (string, error) {
	c, err := t.bearer(r)
	return c.OrganizationID, err
}

// mayOnly returns the function that tells package settings what the role of a request is
// for. A role that this program does not know is for nothing.
func mayOnly(read func(*http.Request) (claims, error)) func(*http.Request, settings.Action) bool {
	return func(r *http.Request, a settings.Action) bool {
		c, err := read(r)
		return err == nil && (c.Role == "" || c.Role == viewer && a == settings.ActionLook)
	}
}

func (t tokens) bearer(r *http.Request) (claims, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return claims{}, errNoToken
	}
	return t.read(token)
}

// visitor returns the organization of a browser's session, from its cookie. Only the pages
// accept the cookie, because they refuse requests that other sites make a browser send. The
// API accepts tokens only.
func (t tokens) visitor(r *http.Request) (string, error) {
	c, err := t.session(r)
	return c.OrganizationID, err
}

func (t tokens) session(r *http.Request) (claims, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return claims{}, errNoSession
	}
	return t.read(cookie.Value)
}

// read verifies a token and returns its claims.
func (t tokens) read(token string) (c claims, err error) {
	_, err = jwt.ParseWithClaims(token, &c,
		t.key,
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), // the token must not choose the method
		jwt.WithExpirationRequired(),
	)
	switch {
	case err != nil:
		return claims{}, err
	case c.OrganizationID == "":
		return claims{}, errNoOrganization
	}
	return c, nil
}

func (t tokens) key(*jwt.Token) (any, error) { return t.secret, nil }

// sign returns a new token for somebody of an organization.
func (t tokens) sign(organization, role string) (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		OrganizationID: organization, Role: role,
		RegisteredClaims: jwt.RegisteredClaims{
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(tokenLifetime)),
		},
	}).SignedString(t.secret)
}

// give gives anybody a token of an organization.
func (t tokens) give(w http.ResponseWriter, r *http.Request) {
	organization := r.FormValue("organization")
	if organization == "" {
		refuse(w, http.StatusBadRequest, "name the organization: /dev/token?organization=org_123")
		return
	}
	token, err := t.sign(organization, r.FormValue("role"))
	if err != nil {
		refuse(w, http.StatusInternalServerError, fmt.Sprintf("cannot make a token: %v", err))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, token+"\n")
}
