package webhookclient

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// New returns a client of the API below a URL: https://app.example.com, where the API serves
// https://app.example.com/v1/webhooks. The scheme is https, or http for localhost and
// loopback addresses. opts may be nil. The error says what is wrong with the URL or with opts.
func New(baseURL string, opts *Options) (*Client, error) {
	base, err := baseOf(baseURL)
	if err != nil {
		return nil, err
	}
	c := &Client{base: base}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Timeout < 0 || c.opts.MaxWait < 0 {
		return nil, fmt.Errorf("webhookclient: Timeout is %v and MaxWait %v; neither may be less than 0, and 0 is the default", c.opts.Timeout, c.opts.MaxWait)
	}
	if strings.ContainsFunc(c.opts.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("webhookclient: Token has a line end, a blank or another character that no token has; trim what it was read from")
	}
	c.opts.Timeout = cmp.Or(c.opts.Timeout, 30*time.Second)
	c.opts.Retries = cmp.Or(c.opts.Retries, 5)
	c.opts.MaxWait = cmp.Or(c.opts.MaxWait, time.Minute)
	if c.http = c.opts.HTTPClient; c.http == nil {
		c.http = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return c, nil
}

// baseOf returns what the URLs of the API begin with, before apiPath.
func baseOf(baseURL string) (string, error) {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.ForceQuery || u.RawQuery != "" || strings.Contains(baseURL, "#"):
		return "", errors.New("webhookclient: the URL of the API is none such as https://app.example.com: it has a host, and neither user, query nor fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLocal(u.Hostname())):
		return "", fmt.Errorf("webhookclient: the URL of the API begins with %q: give an https URL, since the token goes there", u.Scheme)
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	path = strings.TrimRight(strings.TrimSuffix(path, apiPath), "/")
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String() + path, nil
}

func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// checkHeader refuses headers that net/http would not send. It says so as if the network had failed,
// and that might pass.
func checkHeader(h http.Header) error {
	for name, values := range h {
		for _, value := range values {
			if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }) {
				return errors.New("webhookclient: Authorize has set a header with a name that none may have; give one such as Authorization, and what is secret as its value")
			}
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("webhookclient: Authorize has set the header %s to a value with a line end or another control character; trim what it was read from", name)
			}
		}
	}
	return nil
}
