package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// check holds the flags of the command check.
type check struct {
	secrets secretFlags
	client  clientFlags

	eventType, data, organization string
	skip                          []string
	maxBody                       int64
	maxAge                        time.Duration
	standard, proves, asJSON      bool
}

func (a *app) checkCommand() *cobra.Command {
	var c check
	cmd := &cobra.Command{
		Use:   "check URL",
		Short: "Try a running receiver with good, forged, odd and repeated requests",
		Long: `Try a running receiver with good, forged, odd and repeated requests. For each one
that it handles wrongly, say what to change. The receiver gets about ninety
requests. Many of them are good events, and it will act on them: use a test system.

The checks see the responses only. They cannot tell whether the receiver acts
twice on an event that arrives twice; in Go, webhooktest.Battery can.

The checks are:

` + checksList() + `
The exit code is 0 when no fault was found, 1 when one was.`,
		Example: `  alotwebhook check http://localhost:3000/alot/webhook
  alotwebhook check --type candidate.invited --skip gzip,doubled-header http://localhost:3000/alot/webhook`,
		Args: oneURL,
		RunE: a.does(func(cmd *cobra.Command, args []string) error { return a.check(cmd, &c, args[0]) }),
	}
	c.secrets.add(cmd)
	c.client.add(cmd)
	f := cmd.Flags()
	f.StringVar(&c.eventType, "type", alotwebhook.EventCandidateCompleted, "an event `type` that the receiver handles")
	f.StringVar(&c.data, "data", "", "the event's data: `JSON`, or @file; by default the example in the catalogue")
	f.StringVar(&c.organization, "organization", "org_123", "the events' organization `id`")
	f.StringSliceVar(&c.skip, "skip", nil, "leave these `checks` out, such as duplicate-keys if your JSON parser cannot tell")
	f.Int64Var(&c.maxBody, "max-body", 8<<20, "the largest body in `bytes` that the receiver may accept")
	f.DurationVar(&c.maxAge, "max-age", 0, "the age from which the receiver refuses events; 0 if it accepts any age")
	f.BoolVar(&c.standard, "standard", false, "sign with the headers of Standard Webhooks, and try forgeries of those")
	f.BoolVar(&c.proves, "proves", false, "send a challenge, too, for a sender that wants URLs proven")
	f.BoolVar(&c.asJSON, "json", false, "print one JSON object for each check")
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(typeNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("skip", completeChecks)
	return cmd
}

// completeChecks completes the last name in a list separated by commas.
func completeChecks(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	before := typed[:strings.LastIndex(typed, ",")+1]
	names := webhooktest.Battery{}.Checks()
	for i, name := range names {
		names[i] = before + name
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// checksList lists the names of the checks, in lines of up to 76 characters.
func checksList() string {
	var b strings.Builder
	line := " "
	for _, name := range (webhooktest.Battery{}).Checks() {
		if len(line)+len(name) > 76 {
			b.WriteString(line + "\n")
			line = " "
		}
		line += " " + name
	}
	return b.String() + line + "\n"
}

func (a *app) check(cmd *cobra.Command, c *check, url string) error {
	if err := checkURL(url); err != nil {
		return err
	}
	battery, err := a.battery(cmd.Context(), c, url)
	if err != nil {
		return err
	}
	client := c.client.receiverClient()
	findings := inFlags(battery.Check(cmd.Context(), client.Do))
	if findings[0].Check == "settings" {
		return usagef("%s. %s", findings[0].Problem, findings[0].Change)
	}
	faults := 0
	for _, f := range findings {
		if !f.OK() {
			faults++
		}
	}
	if c.asJSON {
		err = a.findingLines(findings)
	} else {
		a.report(findings, faults)
	}
	switch {
	case err != nil:
		return err
	case cmd.Context().Err() != nil:
		return fmt.Errorf("interrupted before all checks were made")
	case faults > 0:
		return errSaid
	}
	return nil
}

// flagWords say in the words of the command what findings say of the fields of a battery.
var flagWords = strings.NewReplacer(
	"MaxAge is not set", "--max-age is not given",
	"Proves is not set", "--proves is not given",
	"Handled is not set, so it cannot be seen what was handled", "only webhooktest.Battery in Go sees what was handled",
	"URL, type and data are settings of the battery.", "Set the type and data with --type and --data.",
	"Set Data to", "Set --data to",
	"Take the name from Finding.Check.", "The names are in alotwebhook check --help.",
	"tell the battery", "say so",
	"MaxBodyBytes", "--max-body", "MaxAge", "--max-age", "Timeout", "--timeout",
)

// inFlags names in findings the flags, not the fields of a battery.
func inFlags(findings []webhooktest.Finding) []webhooktest.Finding {
	for i := range findings {
		f := &findings[i]
		for _, sentence := range []*string{&f.About, &f.Problem, &f.Change, &f.Skipped} {
			*sentence = flagWords.Replace(*sentence)
		}
	}
	return findings
}

func (a *app) battery(ctx context.Context, c *check, url string) (webhooktest.Battery, error) {
	if c.maxBody == 0 { // which the battery takes for its default
		return webhooktest.Battery{}, usagef("--max-body is 0; give the most bytes that the receiver accepts, or --skip oversized")
	}
	secret, err := a.secret(ctx, &c.secrets)
	if err != nil {
		return webhooktest.Battery{}, err
	}
	data, err := dataFlag(ctx, c.data)
	if err != nil {
		return webhooktest.Battery{}, err
	}
	return webhooktest.Battery{
		Secret: secret, URL: url, EventType: c.eventType, Data: data, OrganizationID: c.organization,
		MaxBodyBytes: c.maxBody, MaxAge: c.maxAge, Timeout: c.client.timeout, Skip: c.skip, StandardWebhooks: c.standard, Proves: c.proves,
	}, nil
}

func (a *app) report(findings []webhooktest.Finding, faults int) {
	style := a.styleFor(a.out)
	made := 0
	for len(findings) > 0 {
		f, n := findings[0], together(findings)
		findings = findings[n:]
		if f.Skipped == "" {
			made++
		}
		switch {
		case n > 1:
			fmt.Fprintf(a.out, "%s\n", style.dim(fmt.Sprintf("– %d checks  not made: %s", n, f.Skipped)))
		case f.Skipped != "":
			fmt.Fprintf(a.out, "%s\n", style.dim("– "+f.Check+"  not made: "+f.Skipped))
		case f.OK():
			fmt.Fprintf(a.out, "%s %s  %s\n", style.good("✓"), f.Check, style.dim(f.About))
		default:
			fmt.Fprintf(a.out, "%s %s\n    found:  %s\n    right:  %s\n    change: %s\n",
				style.bad("✗"), style.bold(f.Check), printable(f.Problem), f.About, f.Change)
		}
	}
	verdict := style.good("No fault was found.")
	switch {
	case faults == 1:
		verdict = style.bad(fmt.Sprintf("A fault found by 1 of %d checks.", made))
	case faults > 1:
		verdict = style.bad(fmt.Sprintf("Faults found by %d of %d checks.", faults, made))
	}
	fmt.Fprintf(a.out, "\n%s\n%s\n", verdict, style.dim("The checks see the responses only. In Go, webhooktest.Battery also sees how often the receiver acted on an event."))
}

// together returns how many findings go into the next line. A run of checks that
// were all skipped for one reason gets a single line, so that it does not push the
// fault above it off the screen.
func together(findings []webhooktest.Finding) int {
	n := 0
	for n < len(findings) && findings[n].Skipped != "" && findings[n].Skipped == findings[0].Skipped {
		n++
	}
	if n < 4 {
		return 1
	}
	return n
}

func (a *app) findingLines(findings []webhooktest.Finding) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	for _, f := range findings {
		line := struct {
			Check   string `json:"check"`
			OK      bool   `json:"ok"`
			Skipped string `json:"skipped,omitempty"`
			Problem string `json:"problem,omitempty"`
			About   string `json:"about"`
			Change  string `json:"change,omitempty"`
		}{f.Check, f.OK() && f.Skipped == "", f.Skipped, f.Problem, f.About, ""}
		if !f.OK() {
			line.Change = f.Change
		}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return nil
}
