package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecretSources(t *testing.T) {
	t.Parallel()
	right := file(t, helloSecret+"\r\n")
	for name, c := range map[string]struct {
		env   string
		flags []string
		code  int
		err   string
	}{
		"the environment":             {env: helloSecret},
		"a file, not the environment": {env: "another", flags: []string{"--secret-file", right}},
		"a flag, not the environment": {env: "another", flags: []string{"--secret", helloSecret}},
		"nowhere":                     {code: exitUsage, err: "no signing secret: set ALOT_WEBHOOK_SECRET, or give --secret-file"},
		"an environment with a line":  {env: helloSecret + "\n", code: exitUsage, err: "the signing secret from ALOT_WEBHOOK_SECRET has white space around it"},
		"a file with too many lines":  {flags: []string{"--secret-file", file(t, helloSecret+"\n\n")}, code: exitUsage, err: "has white space around it"},
		"an empty file":               {flags: []string{"--secret-file", file(t, "\n")}, code: exitUsage, err: "is empty"},
		"an empty flag":               {env: helloSecret, flags: []string{"--secret", ""}, code: exitUsage, err: "the signing secret from --secret is empty"},
		"a file without a name":       {env: helloSecret, flags: []string{"--secret-file="}, code: exitUsage, err: "cannot read the secret: open : no such file"},
		"a flag of blanks":            {flags: []string{"--secret", "  "}, code: exitUsage, err: "the signing secret from --secret is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSession(strings.NewReader(helloBody), map[string]string{secretVariable: c.env})
			require.Equal(t, c.code, s.app.run(t.Context(), append([]string{"sign"}, c.flags...)))
			if c.code == exitOK {
				require.Equal(t, helloSignature+"\n", s.out.String())
			}
			require.Contains(t, s.err.String(), c.err)
			require.NotContains(t, s.err.String(), helloSecret)
		})
	}
}
