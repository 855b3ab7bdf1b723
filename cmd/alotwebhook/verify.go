package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook"
)

func (a *app) verifyCommand() *cobra.Command {
	var secrets secretFlags
	var signature string
	cmd := &cobra.Command{
		Use:   "verify --signature SIGNATURE [FILE]",
		Short: "Check the signature of a body, and if it is wrong, say why",
		Long: `Check a signature against exactly the bytes of FILE, or of standard input. If it
is wrong, try the usual mistakes one by one and name the one that explains it. The
right signature is never printed.`,
		Example: `  alotwebhook verify --signature sha256=… body.json
  alotwebhook verify --signature 'X-Alot-Signature: sha256=…' < body.json`,
		Args: oneBody,
		RunE: a.does(func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("signature") {
				return usagef("no signature: give --signature, the value of the header %s", alotwebhook.SignatureHeader)
			}
			secret, err := a.secret(cmd.Context(), &secrets)
			if err != nil {
				return err
			}
			body, err := a.body(cmd.Context(), args)
			if err != nil {
				return err
			}
			return a.verify(body, withoutName(signature), secret)
		}),
	}
	secrets.add(cmd)
	cmd.Flags().StringVar(&signature, "signature", "", "the `value` of the header X-Alot-Signature, or the whole header")
	return cmd
}

// withoutName removes the header's name in front of its value, if there is one.
func withoutName(signature string) string {
	name, value, found := strings.Cut(signature, ":")
	if found && strings.EqualFold(strings.TrimSpace(name), alotwebhook.SignatureHeader) {
		return strings.TrimPrefix(value, " ")
	}
	return signature
}

func (a *app) verify(body []byte, signature string, secret alotwebhook.Secret) error {
	style := a.styleFor(a.out)
	err := alotwebhook.Verify(body, signature, secret)
	if err != nil {
		fmt.Fprintln(a.out, style.bad("refused")+": "+plain(err))
		for _, hint := range diagnose(body, signature, secret) {
			fmt.Fprintln(a.out, "- "+hint)
		}
		return errSaid
	}
	fmt.Fprintf(a.out, "%s: it is the signature of these %d bytes\n", style.good("verified"), len(body))
	e, err := alotwebhook.ParseEvent(body)
	if err != nil {
		fmt.Fprintln(a.out, "- but these bytes are no event: "+plain(err))
		return nil
	}
	fmt.Fprintf(a.out, "- %s of %s, %s\n", printable(e.Type), printable(e.OrganizationID), e.ID)
	return nil
}
