package settings

import (
	"net/http"
	"slices"
	"strings"
)

// curl returns a command for a POSIX shell that sends a request again, signed. The secret is not in
// it: whoever executes it has that in the environment.
func curl(url string, header http.Header, payload []byte) string {
	lines := []string{
		"body=" + quoted(string(payload)),
		`signature=$(printf %s "$body" | openssl dgst -sha256 -hmac "$ALOT_WEBHOOK_SECRET" | sed 's/^.* //')`,
		"curl -ig -X POST " + quoted(url) + ` \`,
		`  -H "X-Alot-Signature: sha256=$signature" \`,
	}
	for _, line := range sentLines(header) {
		lines = append(lines, "  -H "+quoted(line)+` \`)
	}
	return strings.Join(append(lines, `  --data-binary "$body"`), "\n") + "\n"
}

// quoted returns a text as one word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// sentLines returns headers as lines in alphabetical order.
func sentLines(h http.Header) (lines []string) {
	for name, values := range h {
		for _, value := range values {
			lines = append(lines, name+": "+value)
		}
	}
	slices.Sort(lines)
	return lines
}
