package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	tokenLifetime = 12 * time.Hour
	sessionCookie = "session"
)

// tokens makes and reads the product's bearer tokens: JWTs with HS256.
type tokens struct{ secret []byte }

type claims struct {
	OrganizationID string `json:"organizationId"`
	jwt.RegisteredClaims
}

var (
	errNoToken        = errors.New("there is no bearer token")
	errNoSession      = errors.New("there is no session")
	errNoOrganization = errors.New("the token has no organizationId")
)

// organization returns the organization of the caller, from the bearer token. Package
// settings calls it for each request to the API.
func (t tokens) organization(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errNoToken
	}
	return t.read(token)
}

// visitor returns the organization of a browser's session, from its cookie. Only the pages
// accept the cookie, because they refuse requests that other sites make a browser send. The
// API accepts tokens only.
func (t tokens) visitor(r *http.Request) (string, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return "", errNoSession
	}
	return t.read(cookie.Value)
}

// read verifies a token and returns its organization.
func (t tokens) read(token string) (string, error) {
	var c claims
	_, err := jwt.ParseWithClaims(token, &c,
		func(*jwt.Token) (any, error) { return t.secret, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), // the token must not choose the method
		jwt.WithExpirationRequired(),
	)
	switch {
	case err != nil:
		return "", err
	case c.OrganizationID == "":
		return "", errNoOrganization
	}
	return c.OrganizationID, nil
}

// sign returns a new token for an organization.
func (t tokens) sign(organization string) (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		OrganizationID: organization,
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
	token, err := t.sign(organization)
	if err != nil {
		refuse(w, http.StatusInternalServerError, fmt.Sprintf("cannot make a token: %v", err))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, token+"\n")
}
