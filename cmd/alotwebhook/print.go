package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// isTerminal reports whether a file is a terminal.
func isTerminal(file any) bool {
	f, ok := file.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // it is a character device, too
	return err == nil && !os.SameFile(info, null)
}

// style colours words, or leaves them as they are.
type style struct{ on bool }

// styleFor returns the style for an output, by the rule of https://no-color.org.
func (a *app) styleFor(w io.Writer) style {
	return style{on: a.isTerminal(w) && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"}
}

func (s style) code(code, text string) string {
	if !s.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) good(text string) string { return s.code("32", text) }
func (s style) bad(text string) string  { return s.code("31", text) }
func (s style) dim(text string) string  { return s.code("2", text) }
func (s style) bold(text string) string { return s.code("1", text) }

// status returns an HTTP status in words. The sender takes only 2xx for delivered,
// so only that is coloured as good.
func (s style) status(code int) string {
	text := strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
	if code >= 200 && code < 300 {
		return s.good(text)
	}
	return s.bad(text)
}

// response says how a request ended: with a status, with an error in the place of a response, or with a response that
// has no end.
func (s style) response(status int, err error) string {
	switch {
	case err == nil:
		return s.status(status)
	case status == 0:
		return s.bad("no response: " + printable(err.Error()))
	}
	return s.bad(strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status))) + ", but " + printable(err.Error()))
}

// printable makes text from outside safe for a terminal: it escapes all control
// characters but line ends and tabs.
func printable(text string) string {
	harmless := func(r rune) bool {
		return r == '\n' || r == '\t' || !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r)
	}
	if utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !harmless(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case harmless(r):
			b.WriteRune(r)
		case r == '\r':
			b.WriteString(`\r`)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += size
	}
	return b.String()
}

// maxShown bounds how much of a body is shown, in bytes.
const maxShown = 16 << 10

// shown returns a body for people to read: JSON is indented, a long body is cut, and
// control characters are escaped.
func shown(body []byte) string {
	if pretty, ok := indent(body, "  ", indentLimit(body[:min(len(body), maxShown)])); ok {
		body = pretty
	}
	more := ""
	if len(body) > maxShown {
		more = fmt.Sprintf("\n… and %d bytes more", len(body)-maxShown)
		body = body[:maxShown]
	}
	return printable(strings.TrimRight(string(body), "\r\n")) + more
}

// indented puts blanks before every line.
func indented(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ") + "\n"
}

// headerLines returns the lines of a header, sorted.
func headerLines(h http.Header) string {
	var lines []string
	for name, values := range h {
		for _, v := range values {
			lines = append(lines, printable(name+": "+v)+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// took returns a duration, rounded to about three figures.
func took(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// printableWriter writes text in which [printable] has escaped what a terminal would obey.
type printableWriter struct{ io.Writer }

func (w printableWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, printable(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
