package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook"
)

func (a *app) signCommand() *cobra.Command {
	var secrets secretFlags
	var header bool
	cmd := &cobra.Command{
		Use:   "sign [FILE]",
		Short: "Print the signature of a body",
		Long: `Print the signature of exactly the bytes of FILE, or of standard input. A line end
at the end of the file is signed, too.`,
		Example: `  alotwebhook sign body.json
  printf '%s' "$BODY" | alotwebhook sign
  curl --data-binary @body.json -H 'Content-Type: application/json' \
       -H "$(alotwebhook sign --header body.json)" http://localhost:3000/alot/webhook`,
		Args: oneBody,
		RunE: a.does(func(cmd *cobra.Command, args []string) error {
			secret, err := a.secret(cmd.Context(), &secrets)
			if err != nil {
				return err
			}
			body, err := a.body(cmd.Context(), args)
			if err != nil {
				return err
			}
			signature := alotwebhook.Sign(body, secret)
			if header {
				signature = alotwebhook.SignatureHeader + ": " + signature
			}
			_, err = fmt.Fprintln(a.out, signature)
			return err
		}),
	}
	secrets.add(cmd)
	cmd.Flags().BoolVar(&header, "header", false, "print the whole header, for curl -H")
	return cmd
}
