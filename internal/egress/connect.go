package egress

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/alot/alotwebhook/internal/text"
)

// maxHeader bounds the header of a proxy's answer, in bytes.
const maxHeader = 32 << 10

// connect asks an HTTP proxy for a tunnel.
func (d *Dialer) connect(ctx context.Context, conn net.Conn, to target) error {
	request := "CONNECT " + to.String() + " HTTP/1.1\r\nHost: " + to.String() + "\r\n"
	user, password, given, err := d.credentials(ctx)
	if err != nil {
		return err
	}
	if given {
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return noAnswer{err}
	}
	bounded := &io.LimitedReader{R: conn, N: maxHeader}
	in := bufio.NewReader(bounded)
	if _, err := in.Peek(1); err != nil {
		return noAnswer{err}
	}
	resp, err := readAnswer(in)
	switch {
	case err != nil && bounded.N == 0:
		return unreachable("answers with too large a header", nil)
	case err != nil:
		return unreachable("does not answer as an HTTP proxy does", cause(err))
	case resp.StatusCode >= 300:
		return d.explain(resp, to)
	case in.Buffered() > 0: // the target speaks after us, in TLS as in HTTP
		return unreachable("sends more than its answer", nil)
	}
	return nil
}

// readAnswer reads the header of the answer to a CONNECT, behind any informational ones. Its body is
// left alone.
func readAnswer(in *bufio.Reader) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
		if err != nil || resp.StatusCode >= 200 {
			return resp, err
		}
	}
}

// cause returns an error that quotes nothing of what a proxy has sent, which may be anything.
func cause(err error) error {
	if strings.Contains(err.Error(), "malformed") {
		return nil
	}
	return err
}

// explain returns the error that a status of the proxy stands for. It is never that of a receiver.
func (d *Dialer) explain(resp *http.Response, to target) error {
	words := said(resp.Header)
	status := fmt.Sprintf("answers %d", resp.StatusCode)
	switch code := resp.StatusCode; {
	case strings.Contains(words, "role cannot be determined"): // Smokescreen does not know us
		return unauthenticated(status + ": " + words)
	case code == http.StatusUnauthorized, // as tinyproxy 1.11.1 says of a wrong password
		code == http.StatusProxyAuthRequired && resp.Header.Get(smokescreenHeader) == "":
		return unauthenticated(status + "; see the user and the password of Config.Proxy")
	case code == http.StatusProxyAuthRequired, code == http.StatusForbidden, code == http.StatusUnavailableForLegalReasons:
		d.Watch.refuses(to, code, words)
		return refused(status)
	case code == http.StatusGatewayTimeout:
		return context.DeadlineExceeded
	case strings.HasPrefix(words, "ERR_DNS_FAIL"), strings.HasPrefix(words, "Failed to resolve"):
		return &net.DNSError{Err: "the proxy could not look it up", Name: to.host, IsNotFound: true}
	case strings.HasSuffix(words, fmt.Sprintf("ERR_CONNECT_FAIL %d", int(syscall.ECONNREFUSED))), strings.Contains(words, "connection refused"):
		return fmt.Errorf("the proxy could not connect: %w", syscall.ECONNREFUSED)
	case code == http.StatusInternalServerError, code == http.StatusBadGateway, code == http.StatusServiceUnavailable:
		return fmt.Errorf("the proxy could not connect: it %s", status)
	default:
		return unreachable(status+", which no tunnel is made with", nil)
	}
}

// The headers in which proxies say what is wrong: Smokescreen in a sentence, and Squid by the name of
// its error page and the system's error.
const (
	smokescreenHeader = "X-Smokescreen-Error"
	squidHeader       = "X-Squid-Error"
)

// said returns what a proxy says is wrong, as one short line.
func said(h http.Header) string {
	words := h.Get(smokescreenHeader)
	if words == "" {
		words = h.Get(squidHeader)
	}
	return text.Clip(text.Storable(words), 200)
}

// credentials returns the user and the password for the proxy, if there are any.
func (d *Dialer) credentials(ctx context.Context) (user, password string, given bool, err error) {
	p := d.proxy
	switch {
	case p.Credentials != nil:
		err := d.host.Call("Config.Proxy.Credentials", func() (err error) { user, password, err = p.Credentials(ctx); return err })
		if err != nil { // its text might quote a password
			return "", "", false, unauthenticated("cannot be asked: Config.Proxy.Credentials returned an error")
		}
	case p.URL.User != nil:
		user = p.URL.User.Username()
		password, _ = p.URL.User.Password()
	}
	if problem := credentialsProblem(p.URL.Scheme, user, password); problem != "" {
		return "", "", false, unauthenticated("cannot be asked: Config.Proxy.Credentials " + problem)
	}
	return user, password, user != "" || password != "", nil
}

// credentialsProblem says what is wrong with a user and a password; "" for nothing.
func credentialsProblem(scheme, user, password string) string {
	switch {
	case scheme == "socks5" && (user != "" || password != ""):
		if user == "" || password == "" || len(user) > 255 || len(password) > 255 {
			return "has a user or a password that SOCKS5 cannot carry; each has 1 to 255 bytes"
		}
	case scheme != "socks5" && strings.Contains(user, ":"):
		return "has a user with a colon in it, which Basic authentication cannot carry"
	}
	return ""
}
