package wire_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// hidden hides the kind of a body, as the wrapper of a host's transport may.
type hidden struct{ io.Reader }

func (hidden) Close() error { return nil }

// sentAs returns the bytes in which a request reaches a server. change makes it of one that is
// usual.
func sentAs(t *testing.T, change func(*http.Request)) (string, error) {
	t.Helper()
	got := make(chan string, 1)
	s := serveRaw(t, false, func(_ int64, conn net.Conn) {
		var sent strings.Builder
		_ = readRequest(bufio.NewReader(io.TeeReader(conn, &sent)))
		got <- sent.String()
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/a%2Fb?q=1", strings.NewReader("body"))
	require.NoError(t, err)
	req.Header = http.Header{"User-Agent": {"test/1"}, "X-B": {"2", "3"}, "X-A": {" 1 "}}
	change(req)
	resp, err := s.transport(t, nil).RoundTrip(req)
	if err != nil {
		return "", err
	}
	require.NoError(t, resp.Body.Close())
	return strings.ReplaceAll(<-got, strings.TrimPrefix(s.url[:strings.LastIndex(s.url, "/")], "http://"), "{host}"), nil
}

func TestRequestsAsTheyAreSent(t *testing.T) {
	t.Parallel()
	const begin, fields = "POST /hook/a%2Fb?q=1 HTTP/1.1\r\nHost: {host}\r\nUser-Agent: test/1\r\n", "X-A: 1\r\nX-B: 2\r\nX-B: 3\r\n\r\n"
	const usual, empty = begin + "Content-Length: 4\r\n" + fields + "body", begin + "Content-Length: 0\r\n" + fields
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   string
	}{
		"usual":           {func(*http.Request) {}, usual},
		"another Host":    {func(r *http.Request) { r.Host = "hooks.example" }, strings.Replace(usual, "{host}", "hooks.example", 1)},
		"no body":         {func(r *http.Request) { r.Body = nil }, empty},
		"http.NoBody":     {func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, -1 }, empty},
		"hidden body":     {func(r *http.Request) { r.Body = hidden{r.Body} }, usual},
		"unknown length":  {func(r *http.Request) { r.Body, r.ContentLength = hidden{r.Body}, -1 }, usual},
		"length left out": {func(r *http.Request) { r.Body, r.ContentLength = hidden{r.Body}, 0 }, usual},
		"chunked": {func(r *http.Request) {
			r.TransferEncoding, r.ContentLength = []string{"chunked"}, -1
			r.Header.Set("Transfer-Encoding", "chunked")
		}, usual},
		"length in the header": {func(r *http.Request) { r.Header["content-length"] = []string{"99"} }, usual},
		"host in the header":   {func(r *http.Request) { r.Header.Set("Host", "other.example") }, usual},
		"to be closed":         {func(r *http.Request) { r.Close = true }, strings.Replace(usual, "Content-L", "Connection: close\r\nContent-L", 1)},
		"line breaks in a value": {func(r *http.Request) { r.Header.Set("X-A", "1\r\nX-Injected: 1\n\x00\r\n") },
			strings.Replace(usual, "X-A: 1\r\n", "X-A: 1  X-Injected: 1  \r\n", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent, err := sentAs(t, c.change)
			require.NoError(t, err)
			require.Equal(t, c.want, sent)
		})
	}
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	t.Parallel()
	for problem, change := range map[string]func(*http.Request){
		"invalid method":                        func(r *http.Request) { r.Method = "POST /x" },
		"invalid name of a header field":        func(r *http.Request) { r.Header["X-A: 1\r\nX-B"] = []string{"1"} },
		"invalid host":                          func(r *http.Request) { r.Host = "bücher.example" },
		"has a blank or a control character":    func(r *http.Request) { r.URL.RawQuery = "a b" },
		"body has 4 bytes, and its ContentLeng": func(r *http.Request) { r.ContentLength = 5 },
		"body has 4 bytes, and its ContentLen":  func(r *http.Request) { r.ContentLength = 3 },
		"unsupported scheme":                    func(r *http.Request) { r.URL.Scheme = "ftp" },
	} {
		_, err := sentAs(t, change)
		require.ErrorContains(t, err, problem)
	}
}
