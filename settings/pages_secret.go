package settings

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/demand"
)

// beginnings are the choices of when a new secret begins to sign. None is preselected: whoever has
// lost the old secret verifies nothing until the new one signs, and whoever has not would be cut off
// if it signed at once.
var beginnings = []choice{
	{"24h", "In 24 hours", 24 * time.Hour},
	{"1h", "In an hour", time.Hour},
	{"now", "At once", 0},
}

// rotateView is the page with the form to rotate a secret.
type rotateView struct {
	Endpoint   alotwebhook.Endpoint
	Beginnings []choice
	Chosen     string
	Problems   map[string]string // by field
}

func (v *visit) newSecret() error {
	if readQuery(v.r).err() != nil {
		return errAddress
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	return v.showRotate(http.StatusOK, rotateView{Endpoint: e})
}

func (v *visit) showRotate(status int, data rotateView) error {
	data.Beginnings = beginnings
	return v.show(status, "rotate", view{Heading: "Rotate the secret", Section: "endpoints", Data: data})
}

// rotateSecret rotates the secret. Its response is the only page that shows a
// generated secret. When a visitor reloads that page, the browser sends the form
// again, but with an old version of the endpoint: that rotates nothing.
func (v *visit) rotateSecret() error {
	given, err := readForm(v.r, "secret", "when", "version")
	if err != nil {
		return err
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	when, ok := chosen(beginnings, given.get("when"))
	switch {
	case given.get("version") != strconv.FormatInt(e.Version, 10):
		return errRotated
	case !ok:
		given.problems["when"] = "Choose when the new secret begins to sign."
		return v.showRotate(http.StatusUnprocessableEntity, rotateView{Endpoint: e, Problems: given.problems})
	}
	var from time.Time
	if when.After > 0 {
		from = time.Now().Add(when.After)
	}
	own := alotwebhook.Secret(given.get("secret"))
	// Of two who rotate at the same moment, one is shown a secret and the other that nothing was done.
	secret, err := v.dispatcher.RotateSecret(demand.WithVersion(v.r.Context(), e.Version), e.ID, own, from)
	switch {
	case errors.Is(err, alotwebhook.ErrConflict):
		return errRotated
	case err != nil:
		if err := given.addProblem(err, endpointLabels); err != nil {
			return err
		}
		return v.showRotate(http.StatusUnprocessableEntity, rotateView{Endpoint: e, Chosen: when.Value, Problems: given.problems})
	case own != "":
		return v.redirect(e.ID, "rotated")
	}
	return v.showSecret(e, secret, secretView{From: from})
}

// secretView is the page that shows a generated secret.
type secretView struct {
	Endpoint alotwebhook.Endpoint
	Secret   string
	New      bool      // the endpoint was just added
	Same     int       // other endpoints that have its URL, if it was just added
	From     time.Time // when the secret begins to sign; zero for at once
}

// showSecret shows the page of a secret that was just generated.
func (v *visit) showSecret(e alotwebhook.Endpoint, s alotwebhook.Secret, data secretView) error {
	data.Endpoint, data.Secret = e, string(s)
	heading := "New secret"
	if data.New {
		heading = "Endpoint registered"
	}
	return v.show(http.StatusOK, "secret", view{Heading: heading, Section: "endpoints", Secret: true, Data: data})
}
