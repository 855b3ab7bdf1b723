package settings

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// etag returns the ETag of what the API shows of an endpoint: its version, which changes when somebody
// changes the endpoint, and a few characters that stand for what else may change: since when it has been
// failing, whether it is paused, and whether a secret is still to come.
func (e endpointJSON) etag(version int64) string {
	tag := strconv.FormatInt(version, 10)
	if !e.FailingSince.IsZero() || e.Paused || !e.NextSecretFrom.IsZero() {
		sum := sha256.Sum256(fmt.Appendln(nil, e.FailingSince, e.Paused, e.NextSecretFrom))
		tag += "-" + hex.EncodeToString(sum[:4])
	}
	return `"` + tag + `"`
}

// etagForm is an ETag of an endpoint, also as a proxy that compresses has changed it: nginx marks it as
// weak, Apache and others put a word at its end.
var etagForm = regexp.MustCompile(`^(?:W/)?"([0-9]+)(-[0-9a-f]{8})?(?:--?[a-z]+)?"$`)

// normal returns an ETag without what a proxy has added to it, and the version in it.
func normal(tag string) (whole, version string) {
	m := etagForm.FindStringSubmatch(tag)
	if m == nil {
		return tag, ""
	}
	return `"` + m[1] + m[2] + `"`, m[1]
}

// listed returns the ETags of a header, of which a request may have several, and whether it has one.
func listed(r *http.Request, header string) (tags []string, there bool) {
	given := r.Header.Values(header)
	for tag := range strings.SplitSeq(strings.Join(given, ","), ",") { // no ETag of ours has a comma
		tags = append(tags, strings.TrimSpace(tag))
	}
	return tags, len(given) > 0
}

// ifMatch reports whether If-Match allows a change to an endpoint of this version. It asks whether
// somebody has changed the endpoint, so that it compares the version alone. By RFC 9110 no weak ETag
// matches, because the bytes may differ; a version is the same, however the bytes are compressed.
func ifMatch(r *http.Request, version int64) bool {
	tags, there := listed(r, "If-Match")
	return !there || slices.ContainsFunc(tags, func(tag string) bool {
		_, its := normal(tag)
		return tag == "*" || its == strconv.FormatInt(version, 10)
	})
}

// ifNoneMatch reports whether If-None-Match lets the request go on, if what it is about has this ETag.
func ifNoneMatch(r *http.Request, etag string) bool {
	tags, there := listed(r, "If-None-Match")
	return !there || !slices.ContainsFunc(tags, func(tag string) bool {
		whole, _ := normal(tag)
		return tag == "*" || whole == etag
	})
}

// conditions returns why the conditions of a request forbid it to change an endpoint that is shown like
// this, if they do.
func (e endpointJSON) conditions(r *http.Request, version int64) error {
	switch {
	case !ifMatch(r, version):
		return errOutdated
	case !ifNoneMatch(r, e.etag(version)):
		return errSame
	}
	return nil
}

// answer returns a response to a request that reads the endpoint: 304 for what the client has already.
func (e endpointJSON) answer(r *http.Request, version int64) response {
	if methodOf(r) == http.MethodGet && !ifNoneMatch(r, e.etag(version)) {
		return response{status: http.StatusNotModified}.with("ETag", e.etag(version))
	}
	return e.asResponse(http.StatusOK, version)
}
