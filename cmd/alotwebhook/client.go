package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/alot/alotwebhook/cmd/alotwebhook/internal/moving"
)

// clientFlags are the flags of a command that sends requests.
type clientFlags struct {
	timeout  time.Duration
	insecure bool
}

func (c *clientFlags) add(cmd *cobra.Command) {
	timeoutFlag(cmd, &c.timeout, 15*time.Second, "how long to wait for a response; the real sender waits 15s")
	cmd.Flags().BoolVar(&c.insecure, "insecure", false, "accept any certificate, for https on your own machine")
}

// timeoutFlag adds the flag --timeout, a duration of more than 0.
func timeoutFlag(cmd *cobra.Command, d *time.Duration, byDefault time.Duration, usage string) {
	*d = byDefault
	cmd.Flags().Var((*positive)(d), "timeout", usage)
}

// positive is the value of a flag: a duration of more than 0.
type positive time.Duration

func (p *positive) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = errors.New("it must be more than 0")
	}
	*p = positive(d)
	return err
}

// String is empty for 0, which cannot be set: the help then names no default.
func (p *positive) String() string {
	if *p == 0 {
		return ""
	}
	return time.Duration(*p).String()
}

func (p *positive) Type() string { return "duration" }

// client returns a client that connects to the URL of the request and nowhere else:
// like the sender, it follows no redirect and uses no proxy.
func (c *clientFlags) client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: c.insecure},
			DisableCompression:  true,
			MaxIdleConnsPerHost: 16,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// receiverClient is client with a new connection for each request. A receiver may close a kept one at any time, and
// then a request on it fails without a fault of the receiver: package http sends no POST again.
func (c *clientFlags) receiverClient() *http.Client {
	client := c.client()
	client.Transport.(*http.Transport).DisableKeepAlives = true
	return client
}

// oneURL checks the arguments of a command that takes one URL.
func oneURL(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("give one URL, such as http://localhost:3000/alot/webhook, and not %d arguments", len(args))
	}
	return nil
}

// oneBody checks the arguments of a command that reads a body.
func oneBody(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("give one file, or none for standard input, and not %d arguments", len(args))
	}
	return nil
}

// checkURL refuses a text that is no http or https URL.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return usagef("the URL is not understood: %s; write it as in http://localhost:3000/alot/webhook", urlProblem(text, err))
	}
	if strings.ContainsAny(text, "@?") { // a password or a token may be in it
		text = moving.Place(text)
	}
	if scheme := u.Scheme; (scheme == "http" || scheme == "https") && u.Host == "" {
		return usagef("%q names no host; write it as in http://localhost:3000/alot/webhook", text)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return usagef("%q is not an http or https URL, such as http://localhost:3000/alot/webhook", text)
	}
	return nil
}

// urlProblem says what is wrong with a URL without the URL itself. With a user in it, nothing is quoted: a password
// with a slash is taken for a port.
func urlProblem(text string, err error) string {
	if e := (*url.Error)(nil); errors.As(err, &e) && !strings.Contains(text, "@") {
		return e.Err.Error()
	}
	return "a part of it has a sign that does not belong there"
}

// response is how a request ended: with the response of a server, or with err.
type response struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
	err    error
}

// said is what there is to say of the response on one line: its status, and what is wrong with it.
func (r response) said(s style) string { return s.response(r.status, r.err) }

func (r response) ok() bool { return r.err == nil && r.status >= 200 && r.status < 300 }

// maxResponse is how much of a response is read, in bytes. The sender reads as much.
const maxResponse = 64 << 10

// post sends a request with exactly this header and body.
func post(ctx context.Context, client *http.Client, timeout time.Duration, to string, header http.Header, body []byte) (got response) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	defer func() { got.took = time.Since(start) }()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return response{err: err}
	}
	r.Header = header
	resp, err := client.Do(r)
	if err != nil {
		return response{err: moving.Cause(err)}
	}
	read, err := moving.Body(resp, maxResponse)
	if err != nil {
		err = moving.Cause(err)
	}
	return response{status: resp.StatusCode, header: resp.Header, body: read, err: err}
}
