package wire

import (
	"net/http"
	"slices"
	"strings"

	"github.com/alot/alotwebhook/internal/text"
)

// answerMark begins the text of an answer of which headers are kept. The body of a receiver that begins
// with it is given an empty header, and so is not taken for one.
const answerMark = "\x01"

// JoinAnswer returns the headers and the body of a response as the one text that a store keeps.
func JoinAnswer(header, body string) string {
	if header == "" && !strings.HasPrefix(body, answerMark) {
		return body
	}
	return answerMark + header + "\n" + body
}

// SplitAnswer is the reverse of JoinAnswer. Each line of the headers ends with a line end.
func SplitAnswer(answer string) (header, body string) {
	rest, marked := strings.CutPrefix(answer, answerMark)
	if !marked {
		return "", answer
	}
	for {
		line, after, found := strings.Cut(rest, "\n")
		if !found || line == "" {
			return header, after
		}
		header, rest = header+line+"\n", after
	}
}

// keptHeader returns the headers of a response as lines in alphabetical order, as many as fit into most
// bytes. Values that log somebody in, or may, are left out, and so is what is hidden.
func keptHeader(h http.Header, most int, hidden mask) string {
	if most <= 0 {
		return ""
	}
	var b strings.Builder
	for _, name := range sortedNames(h) {
		for _, value := range h[name] {
			if isPrivate(name) {
				value = "[REDACTED]"
			}
			line := text.Plain(hidden.of(name+": "+value), most+1)
			if b.Len()+len(line)+1 > most {
				return b.String()
			}
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func sortedNames(h http.Header) []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// privateWords stand in the names of headers whose values are secrets, in lower case.
var privateWords = []string{"cookie", "auth", "token", "secret", "key", "password", "session", "credential", "signature", "csrf", "xsrf", "jwt"}

func isPrivate(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(privateWords, func(word string) bool { return strings.Contains(name, word) })
}
