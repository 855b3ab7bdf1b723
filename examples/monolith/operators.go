package main

import (
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

const (
	// operatorsPath is the path of the pages for those who run the product.
	operatorsPath  = "/operators/"
	operatorCookie = "operator"
	// operators is the audience of their tokens. Those of customers have none, and these have no
	// organization: neither can take the place of the other.
	operators = "operators"
	// support is the role of operators who look, but see no payloads, and send again. Those without
	// a role may do everything.
	support = "support"
)

// operator is somebody who runs the product, by a token.
type operator struct {
	Role string `json:"role,omitempty"`
	jwt.RegisteredClaims
}

// routesOfOperators adds the pages and the API for those who run the product.
func (t tokens) routesOfOperators(mux *http.ServeMux, d *alotwebhook.Dispatcher) error {
	pages, err := settings.NewOperatorPages(d, &settings.OperatorOptions{
		Operator: named(t.operatorVisitor), May: operatorMay(t.operatorVisitor), Product: "ALOT",
	})
	if err != nil {
		return err
	}
	api, err := settings.NewOperatorAPI(d, &settings.OperatorOptions{Operator: named(t.operatorBearer), May: operatorMay(t.operatorBearer)})
	if err != nil {
		return err
	}
	mux.Handle(operatorsPath, pages)
	mux.Handle("/v1/operator/", api)
	return nil
}

// operatorVisitor returns the operator of a browser's session.
func (t tokens) operatorVisitor(r *http.Request) (operator, error) {
	cookie, err := r.Cookie(operatorCookie)
	if err != nil {
		return operator{}, errNoSession
	}
	return t.readOperator(cookie.Value)
}

// operatorBearer returns the operator of a request to the API.
func (t tokens) operatorBearer(r *http.Request) (operator, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return operator{}, errNoToken
	}
	return t.readOperator(token)
}

func (t tokens) readOperator(token string) (o operator, err error) {
	_, err = jwt.ParseWithClaims(token, &o, t.key, jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(), jwt.WithAudience(operators))
	return o, err
}

func named(read func(*http.Request) (operator, error)) func(*http.Request) (string, error) {
	return func(r *http.Request) (string, error) {
		o, err := read(r)
		return o.Subject, err
	}
}

func operatorMay(read func(*http.Request) (operator, error)) func(*http.Request, settings.Action) bool {
	return func(r *http.Request, a settings.Action) bool {
		o, err := read(r)
		return err == nil && (o.Role == "" || o.Role == support && (a == settings.ActionLook || a == settings.ActionSend))
	}
}

// operatorToken gives anybody a token of an operator.
func (t tokens) operatorToken(r *http.Request) (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, operator{Role: r.FormValue("role"), RegisteredClaims: jwt.RegisteredClaims{
		Subject: r.FormValue("name"), Audience: jwt.ClaimStrings{operators},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(tokenLifetime)),
	}}).SignedString(t.secret)
}

// operatorLogin gives anybody a session of an operator, and redirects to the operators' pages.
func (t tokens) operatorLogin(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("name") == "" {
		refuse(w, http.StatusBadRequest, "name yourself: /dev/operator?name=jane")
		return
	}
	token, err := t.operatorToken(r)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "cannot make a session: "+err.Error())
		return
	}
	setSession(w, operatorCookie, token)
	http.Redirect(w, r, operatorsPath, http.StatusSeeOther)
}
