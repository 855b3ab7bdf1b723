package settings

import (
	"net/http"
	"strconv"
	"time"

	"github.com/alot/alotwebhook"
)

// beginnings are when a new secret can begin to sign, first what is proposed.
var beginnings = []choice{
	{"24h", "In 24 hours", 24 * time.Hour},
	{"1h", "In an hour", time.Hour},
	{"now", "At once", 0},
}

type rotateView struct {
	Endpoint   alotwebhook.Endpoint
	Beginnings []choice
	Chosen     string
	Problems   map[string]string
}

func (v *visit) newSecret() error {
	if readQuery(v.r).err() != nil {
		return errAddress
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	return v.showRotate(http.StatusOK, rotateView{Endpoint: e, Chosen: beginnings[0].Value})
}

func (v *visit) showRotate(status int, data rotateView) error {
	data.Beginnings = beginnings
	return v.show(status, "rotate", view{Heading: "Rotate the secret", Section: "endpoints", Data: data})
}

var errRotated = &refusal{http.StatusConflict, "The secret was not rotated", "The endpoint was changed after this form was opened. " +
	"If you rotated the secret just now and loaded the page again: the new secret is in force, and was shown that once."}

// rotateSecret shows the new secret on its own answer. Loading that again sends
// the form again, for a version that is over.
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
		return badRequest("It does not say when the new secret begins.")
	}
	var from time.Time
	if when.After > 0 {
		from = time.Now().Add(when.After)
	}
	own := alotwebhook.Secret(given.get("secret"))
	secret, err := v.dispatcher.RotateSecret(v.r.Context(), e.ID, own, from)
	switch {
	case err != nil:
		if err := given.refused(err, endpointLabels); err != nil {
			return err
		}
		return v.showRotate(http.StatusUnprocessableEntity, rotateView{Endpoint: e, Chosen: when.Value, Problems: given.problems})
	case own != "":
		return v.redirect(e.ID, "rotated")
	}
	return v.showSecret(e, secret, secretView{From: from})
}

type secretView struct {
	Endpoint alotwebhook.Endpoint
	Secret   string
	New      bool
	From     time.Time // when it begins to sign; zero for now
}

// showSecret shows a secret that was just made, in plain this once.
func (v *visit) showSecret(e alotwebhook.Endpoint, s alotwebhook.Secret, data secretView) error {
	data.Endpoint, data.Secret = e, string(s)
	heading := "New secret"
	if data.New {
		heading = "Endpoint registered"
	}
	return v.show(http.StatusOK, "secret", view{Heading: heading, Section: "endpoints", Secret: true, Data: data})
}
