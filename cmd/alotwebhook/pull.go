package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook/cmd/alotwebhook/internal/moving"
	"github.com/alot/alotwebhook/webhookclient"
)

// pull holds the flags of the command pull.
type pull struct {
	secrets secretFlags
	client  clientFlags

	types                     []string
	since                     string
	cursorFile, tokenFile, to string
	follow                    time.Duration
}

func (a *app) pullCommand() *cobra.Command {
	var p pull
	cmd := &cobra.Command{
		Use:   "pull URL",
		Short: "Print all events of your organization, or send them to your receiver",
		Long: `Read all events of your organization from the management API at a URL, oldest first,
and print each as a line of JSON: also those that no endpoint was subscribed to. With
--cursor-file, the next run goes on where this one ended, and misses nothing.

With --to, each event is sent to that receiver instead, signed and with the exact bytes, and
a line says how it responded. The first response that is not 2xx ends the command, and the
next run begins with the same page: a receiver that remembers what it has handled is safe.

With --follow, an outage of the API is told and waited out once a page was read. Ctrl-C ends
the command; the exit code is then 0.

The token for the API comes from --token-file or from the environment variable ` + tokenVariable + `.`,
		Example: `  alotwebhook pull --since 24h https://app.example.com
  alotwebhook pull --cursor-file events.cursor --type candidate.completed https://app.example.com
  alotwebhook pull --cursor-file events.cursor --to http://localhost:3000/alot/webhook https://app.example.com`,
		Args: oneURL,
		RunE: a.does(func(cmd *cobra.Command, args []string) error { return a.pull(cmd.Context(), &p, args[0]) }),
	}
	p.secrets.add(cmd)
	p.client.add(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&p.types, "type", nil, "only events of this `type`; may be given several times")
	f.StringVar(&p.since, "since", "", "only events since this `time`: 2026-05-25T00:00:00Z, or as long ago as 24h")
	f.StringVar(&p.cursorFile, "cursor-file", "", "keep in this `file` where to go on")
	f.StringVar(&p.tokenFile, "token-file", "", "read the token for the API from this `file`; a line end after it is ignored")
	f.StringVar(&p.to, "to", "", "send the events, signed, to this `URL`")
	f.Var((*positive)(&p.follow), "follow", "go on for ever, and look again after so long, such as 10s")
	_ = cmd.MarkFlagFilename("cursor-file") // the flags exist
	_ = cmd.MarkFlagFilename("token-file")
	return cmd
}

func (a *app) pull(ctx context.Context, p *pull, from string) error {
	client, err := a.apiClient(ctx, p, from)
	if err != nil {
		return err
	}
	o := webhookclient.EventsOptions{Types: p.types}
	if o.Since, err = sinceTime(p.since); err != nil {
		return err
	}
	if o.Cursor, err = readCursor(ctx, p.cursorFile); err != nil {
		return err
	}
	handle := a.printEvent
	if p.to != "" {
		if handle, err = a.eventSender(ctx, p); err != nil {
			return err
		}
	}
	if err := a.noteUnknownTypes(ctx, client, p.types); err != nil {
		if ctx.Err() != nil {
			return p.interrupted()
		}
		return err
	}
	return a.follow(ctx, p, client, o, handle)
}

// follow reads pages until there are no more, or with --follow until it is interrupted. Then an outage of the API
// behind a page that it gave is told and waited out.
func (a *app) follow(ctx context.Context, p *pull, client *webhookclient.Client, o webhookclient.EventsOptions, handle func(context.Context, webhookclient.Event) error) error {
	for began := false; ; {
		more, err := p.page(ctx, client, &o, handle)
		began = began || err == nil
		switch {
		case err == nil && !more && p.follow == 0:
			return nil
		case ctx.Err() != nil && (err == nil || errors.Is(err, errSaid) || errors.As(err, new(*apiError))):
			return p.interrupted()
		case isOutage(err) && began && p.follow > 0:
			fmt.Fprintf(a.err, "alotwebhook pull: %s; asking again in %v\n", plain(p.refused(err)), p.follow)
		case err != nil:
			return p.refused(err)
		case more:
			continue
		}
		select {
		case <-ctx.Done():
			return p.interrupted()
		case <-time.After(p.follow):
		}
	}
}

// page reads a page and handles its events. It sets the cursor behind them, and reports whether there is more by now.
func (p *pull) page(ctx context.Context, client *webhookclient.Client, o *webhookclient.EventsOptions, handle func(context.Context, webhookclient.Event) error) (more bool, err error) {
	page, err := client.EventPage(ctx, *o)
	if err != nil {
		return false, &apiError{err}
	}
	for _, e := range page.Events {
		if err := handle(ctx, e); err != nil {
			return false, err
		}
	}
	if o.Cursor = page.Next; p.cursorFile != "" {
		return page.More, writeCursor(p.cursorFile, page.Next)
	}
	return page.More, nil
}

// interrupted is how a command ends that the user has ended: well, if it has no other end.
func (p *pull) interrupted() error {
	if p.follow > 0 {
		return nil
	}
	return moving.ErrInterrupted
}

// apiError is an error of the API, and not of a receiver.
type apiError struct{ error }

func (e *apiError) Unwrap() error { return e.error }

// isOutage reports whether the API may answer again later: it is not reached, fails itself, or is asked too often.
func isOutage(err error) bool {
	var problem *webhookclient.Problem
	switch {
	case !errors.As(err, new(*apiError)):
		return false
	case errors.As(err, &problem):
		return problem.Status >= http.StatusInternalServerError || problem.Status == http.StatusTooManyRequests
	}
	return errors.As(err, new(net.Error)) || errors.Is(err, io.ErrUnexpectedEOF)
}

// noteUnknownTypes says which types the catalogue does not have. They may be mistyped, or have events
// from before, so that pull reads on.
func (a *app) noteUnknownTypes(ctx context.Context, client *webhookclient.Client, types []string) error {
	if len(types) == 0 {
		return nil
	}
	known, err := client.EventTypes(ctx)
	if err != nil {
		return err
	}
	names := make([]string, len(known))
	for i, t := range known {
		names[i] = t.Name
	}
	for _, t := range types {
		if !slices.Contains(names, t) {
			fmt.Fprintf(a.err, "alotwebhook pull: the sender has no event type %q now, only %s\n", t, printable(strings.Join(names, ", ")))
		}
	}
	return nil
}

// refused adds to an error of the API what is to be done about the cursor file.
func (p *pull) refused(err error) error {
	if p.cursorFile == "" {
		return err
	}
	if errors.Is(err, webhookclient.ErrCursorExpired) {
		return fmt.Errorf("%w; remove the file %s to begin anew, and give --since", err, p.cursorFile)
	}
	var problem *webhookclient.Problem
	if errors.As(err, &problem) && slices.ContainsFunc(problem.Errors, func(f webhookclient.FieldProblem) bool { return f.Field == "cursor" }) {
		return fmt.Errorf("%w The cursor is in the file %s: give the same --type as before, or another --cursor-file", err, p.cursorFile)
	}
	return err
}

// apiClient returns a client of the API at a URL. With --insecure, that may be on this machine;
// elsewhere the flag is for the receiver alone, as whoever stands between would get the token.
func (a *app) apiClient(ctx context.Context, p *pull, at string) (*webhookclient.Client, error) {
	flags := p.client
	if u, err := url.Parse(at); flags.insecure && err == nil && !onLoopback(u.Hostname()) {
		if p.to == "" {
			return nil, usagef("--insecure is for an API on this machine; anybody could take the token")
		}
		flags.insecure = false
	}
	token, err := a.token(ctx, p.tokenFile)
	if err != nil {
		return nil, err
	}
	client, err := webhookclient.New(at, &webhookclient.Options{Token: token, Timeout: flags.timeout, HTTPClient: flags.client()})
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

// sinceTime reads a time, or how long ago it is.
func sinceTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return time.Now().Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, usagef("--since is %q; it must be a time such as 2026-05-25T00:00:00Z, or a duration such as 24h", text)
	}
	return at, nil
}

// readCursor returns what a file keeps; "" if there is none.
func readCursor(ctx context.Context, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	b, err := readFile(ctx, file, "the cursor")
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
}

// writeCursor replaces the file as a whole: half a cursor would be none. Of a symbolic link it replaces what it leads to.
func writeCursor(file, cursor string) error {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("cannot keep the cursor: %w", err)
	}
	_, err = f.WriteString(cursor + "\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("cannot keep the cursor: %w", err)
	}
	return nil
}

// printEvent prints an event as one line.
func (a *app) printEvent(_ context.Context, e webhookclient.Event) error {
	if e.Body == nil {
		return errHidden
	}
	var line bytes.Buffer
	if err := json.Compact(&line, e.Body); err != nil {
		return err
	}
	line.WriteByte('\n')
	_, err := a.out.Write(line.Bytes())
	return err
}

var errHidden = errors.New("the token may not see payloads: take one that may")

// eventSender returns the function that sends an event to the receiver.
func (a *app) eventSender(ctx context.Context, p *pull) (func(context.Context, webhookclient.Event) error, error) {
	if err := checkURL(p.to); err != nil {
		return nil, err
	}
	secret, err := a.secret(ctx, &p.secrets)
	if err != nil {
		return nil, err
	}
	client := p.client.client()
	return func(ctx context.Context, e webhookclient.Event) error {
		if e.Body == nil {
			return errHidden
		}
		header := eventHeader(e.Body)
		(&send{}).sign(header, e.Body, secret)
		got := post(ctx, client, p.client.timeout, p.to, header, e.Body)
		style := a.styleFor(a.out)
		fmt.Fprintf(a.out, "%s  %s  → %s %s\n", style.bold(printable(e.Type)), printable(e.ID), got.said(style), style.dim("in "+took(got.took)))
		if !got.ok() {
			return errSaid
		}
		return nil
	}, nil
}
