package settings

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/alot/alotwebhook"
)

// form is what a form's fields were filled in with, and what is wrong with it.
type form struct {
	values   url.Values
	problems map[string]string // by field
}

// readForm reads a posted form strictly: a field that is not known is refused,
// and so is one that stands twice, unless its name ends in "[]" among the known.
func readForm(r *http.Request, known ...string) (*form, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, &refusal{http.StatusUnsupportedMediaType, "This is not a form", "Send the page's own form."}
	}
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, errFormLarge
		}
		return nil, badRequest("The form is not well formed.")
	}
	f := &form{values: r.PostForm, problems: map[string]string{}}
	for name, values := range f.values {
		many := slices.Contains(known, name+"[]")
		switch {
		case !many && !slices.Contains(known, name):
			return nil, badRequest("The form has a field that is not known here: " + clip(name) + ".")
		case !many && len(values) > 1:
			return nil, badRequest("The form has a field twice: " + name + ".")
		case slices.ContainsFunc(values, func(value string) bool { return !utf8.ValidString(value) }):
			return nil, badRequest("The form has a field that is not UTF-8: " + name + ".")
		}
	}
	return f, nil
}

func (f *form) get(name string) string { return f.values.Get(name) }

// refused takes in what the dispatcher says of a field, in the form's own name
// for it; any other error is returned.
func (f *form) refused(err error, names map[string]string) error {
	var field *alotwebhook.FieldError
	if !errors.As(err, &field) {
		return err
	}
	name, _, _ := strings.Cut(field.Field, "[")
	label, ok := names[name]
	if !ok {
		return err
	}
	f.problems[name] = label + " " + field.Problem + "."
	return nil
}
