package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// clientFlags are how a command makes its requests.
type clientFlags struct {
	timeout  time.Duration
	insecure bool
}

func (c *clientFlags) add(cmd *cobra.Command) {
	timeoutFlag(cmd, &c.timeout, 15*time.Second, "how long an answer may take; the sender waits 15s")
	cmd.Flags().BoolVar(&c.insecure, "insecure", false, "accept any certificate, for https on your own machine")
}

// timeoutFlag adds --timeout, in which nothing but a time makes sense.
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

func (p *positive) String() string { return time.Duration(*p).String() }

func (p *positive) Type() string { return "duration" }

// client connects to the URL that it is given and to nothing else: it follows no
// redirect, as the sender follows none, and uses no proxy.
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

// oneURL is cobra's check of the arguments of a command that takes a URL.
func oneURL(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("give one URL, such as http://localhost:3000/alot/webhook, and not %d arguments", len(args))
	}
	return nil
}

// checkURL refuses what no request can go to, before anything is tried.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return usageError{err}
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return usagef("%q is not an http or https URL, such as http://localhost:3000/alot/webhook", text)
	}
	return nil
}

// answer is what a request came to.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
	err    error
}

func (a answer) ok() bool { return a.err == nil && a.status >= 200 && a.status < 300 }

// maxAnswer is how much of an answer is read, in bytes, as the sender does.
const maxAnswer = 64 << 10

// post sends exactly this body with this header.
func post(ctx context.Context, client *http.Client, timeout time.Duration, to string, header http.Header, body []byte) (a answer) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	defer func() { a.took = time.Since(start) }()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	r.Header = header
	resp, err := client.Do(r)
	if err != nil {
		return answer{err: cause(err)}
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return answer{status: resp.StatusCode, header: resp.Header, body: read, err: err}
}

// cause is an error without the method and the URL, which are printed beside it.
func cause(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		if e.Timeout() {
			return errors.New("no answer in time")
		}
		return e.Err
	}
	return err
}
