package settings

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/alot/alotwebhook/internal/text"
)

// form holds the values of a posted form, and what is wrong with them.
type form struct {
	values   url.Values
	problems map[string]string // by field
}

// readForm reads a posted form. It refuses a field that is not known, and a field
// that is given twice. A known name that ends in "[]" stands for a field that may be
// given many times; the form sends the name without "[]".
func readForm(r *http.Request, known ...string) (*form, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, errNotAForm
	}
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, errFormLarge
		}
		return nil, badForm("It is not well encoded. Load the page again and send its form.")
	}
	f := &form{values: r.PostForm, problems: map[string]string{}}
	for name, values := range f.values {
		many := slices.Contains(known, name+"[]")
		switch {
		case !many && !slices.Contains(known, name):
			return nil, badForm("It has a field that is not known here: " + text.Clip(name, maxQuoted) + ".")
		case !many && len(values) > 1:
			return nil, badForm("It has a field twice: " + name + ".")
		case slices.ContainsFunc(values, func(value string) bool { return !utf8.ValidString(value) }):
			return nil, badForm("It has a field that is not UTF-8 text: " + name + ".")
		}
	}
	return f, nil
}

// has reports whether the form gives one of the fields.
func (f *form) has(fields []string) bool {
	return slices.ContainsFunc(fields, func(name string) bool { return f.values.Has(name) })
}

func (f *form) get(name string) string { return f.values.Get(name) }

// addProblem adds what the dispatcher's error says about fields to the problems of
// the form. labels are the subjects for that, by field. addProblem returns an error
// that is about another field, or none.
func (f *form) addProblem(err error, labels map[string]string) error {
	problems := problemsOf(err)
	if len(problems) == 0 {
		return err
	}
	for _, p := range problems {
		name, _, _ := strings.Cut(p.Field, "[")
		label, ok := labels[name]
		if !ok {
			return err
		}
		if _, part, _ := strings.Cut(p.Field, "]."); part != "" && labels[name+"."+part] != "" {
			label = labels[name+"."+part]
		}
		f.problems[name] = label + " " + p.Detail + "."
		if name == "events" && len(f.values[name]) == 0 {
			f.problems[name] = "Choose at least one event."
		}
	}
	return nil
}
