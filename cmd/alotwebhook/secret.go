package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook"
)

const secretVariable = "ALOT_WEBHOOK_SECRET"

// secretFlags are the flags that give a command its secret.
type secretFlags struct {
	text, file string
	given      func(flag string) bool // also true for an empty flag, as from an unset variable
}

func (s *secretFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.file, "secret-file", "", "read the signing secret from this `file`; a line end after it is ignored")
	f.StringVar(&s.text, "secret", "", "the signing `secret` itself; other users can read it in the list of processes")
	s.given = f.Changed
	cmd.MarkFlagsMutuallyExclusive("secret", "secret-file")
	_ = cmd.MarkFlagFilename("secret-file") // the flag exists
}

// none reports whether neither a flag nor the environment gives a secret.
func (a *app) none(s *secretFlags) bool {
	return !s.given("secret") && !s.given("secret-file") && a.env(secretVariable) == ""
}

// secret returns the signing secret. It refuses an empty one, and one with
// white space around it.
func (a *app) secret(ctx context.Context, s *secretFlags) (alotwebhook.Secret, error) {
	text, from := a.env(secretVariable), secretVariable
	switch {
	case s.given("secret"):
		text, from = s.text, "--secret"
	case s.given("secret-file"):
		b, err := readFile(ctx, s.file, "the secret")
		if err != nil {
			return "", err
		}
		text, from = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), s.file
	case text == "":
		return "", usagef("no signing secret: set %s, or give --secret-file", secretVariable)
	}
	switch strings.TrimSpace(text) {
	case "":
		return "", usagef("the signing secret from %s is empty", from)
	case text:
		return alotwebhook.Secret(text), nil
	}
	return "", usagef("the signing secret from %s has white space around it; remove it", from)
}
