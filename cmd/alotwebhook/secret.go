package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook"
)

const secretVariable = "ALOT_WEBHOOK_SECRET"

// secretFlags are where a command takes its secret from.
type secretFlags struct {
	text, file string
	given      func(flag string) bool // an empty one is given, too: its variable was not set
}

func (s *secretFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.file, "secret-file", "", "take the signing secret from this `file`; a line end behind it is left out")
	f.StringVar(&s.text, "secret", "", "the signing `secret` itself; other users can read it in the list of processes")
	s.given = f.Changed
	cmd.MarkFlagsMutuallyExclusive("secret", "secret-file")
	_ = cmd.MarkFlagFilename("secret-file") // it is there
}

// none: nothing names a secret, the environment included.
func (a *app) none(s *secretFlags) bool {
	return !s.given("secret") && !s.given("secret-file") && a.env(secretVariable) == ""
}

// secret returns one that can be used.
func (a *app) secret(s *secretFlags) (alotwebhook.Secret, error) {
	text, from := a.env(secretVariable), secretVariable
	switch {
	case s.given("secret"):
		text, from = s.text, "--secret"
	case s.given("secret-file"):
		b, err := os.ReadFile(s.file)
		if err != nil {
			return "", usagef("cannot read the secret: %w", err)
		}
		text, from = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), s.file
	case text == "":
		return "", usagef("no signing secret: set %s, or give --secret-file", secretVariable)
	}
	switch strings.TrimSpace(text) {
	case "":
		return "", usagef("the signing secret of %s is empty", from)
	case text:
		return alotwebhook.Secret(text), nil
	}
	return "", usagef("the signing secret of %s has white space around it; take it off", from)
}
