package wire

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// leastMasked is the length of the shortest value that is masked, in bytes. A shorter one, such as 42,
// stands in many answers by chance.
const leastMasked = 6

// mask takes the values of an endpoint's own headers out of an answer that quotes them. Nil takes out
// nothing.
type mask []string

// newMask returns the mask of these headers. A credential of the scheme Basic or Bearer is a value of
// its own. The longest value is first, so that one that begins another leaves nothing of it.
func newMask(own http.Header) (m mask) {
	for _, values := range own {
		for _, value := range values {
			m = m.with(value)
			scheme, credential, _ := strings.Cut(value, " ")
			if strings.EqualFold(scheme, "Basic") || strings.EqualFold(scheme, "Bearer") {
				m = m.with(strings.TrimSpace(credential))
			}
		}
	}
	slices.SortFunc(m, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return m
}

func (m mask) with(value string) mask {
	if len(value) < leastMasked {
		return m
	}
	return append(m, value)
}

// of returns a text with an ellipsis in place of each value.
func (m mask) of(text string) string {
	for _, value := range m {
		text = strings.ReplaceAll(text, value, "…")
	}
	return text
}

// ofBeginning is of for a text that goes on. It first cuts off a value at the end, or the beginning of
// one.
func (m mask) ofBeginning(text string) string {
	end := len(text)
	for _, value := range m {
		for most := min(len(value), len(text)); most > len(text)-end; most-- {
			if strings.HasSuffix(text, value[:most]) {
				end = len(text) - most
				break
			}
		}
	}
	return m.of(text[:end])
}
