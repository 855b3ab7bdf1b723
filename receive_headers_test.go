package alotwebhook_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// lowerCase returns the headers as function services and queues hand them on.
func lowerCase(h http.Header) http.Header {
	lower := http.Header{}
	for name, values := range h {
		lower[strings.ToLower(name)] = values
	}
	return lower
}

// Function URLs and HTTP APIs of AWS write all names in lower case, and a map of theirs is an
// http.Header after a conversion.
func TestHeadersInLowerCaseAreTaken(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{})
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	good := http.Header{alotwebhook.SignatureHeader: {alotwebhook.Sign([]byte(payload), receiverSecret)}}
	h := lowerCase(good)
	require.NoError(t, d.Receive(t.Context(), []byte(payload), h))
	_, err = v.ParseBody([]byte(payload), h)
	require.NoError(t, err)
	_, err = v.VerifyHeader([]byte(payload), h)
	require.NoError(t, err)
	require.Equal(t, lowerCase(good), h, "the map stays as it is")
	now := time.Now()
	theirs := http.Header{
		alotwebhook.StandardIDHeader:        {eventID},
		alotwebhook.StandardTimestampHeader: {strconv.FormatInt(now.Unix(), 10)},
		alotwebhook.StandardSignatureHeader: {alotwebhook.SignStandard([]byte(payload), eventID, now, receiverSecret)},
	}
	_, err = v.AcceptStandard(nil).ParseBody([]byte(payload), lowerCase(theirs))
	require.NoError(t, err)
}

// What the other headers say counts in lower case as well.
func TestOtherHeadersInLowerCaseCount(t *testing.T) {
	t.Parallel()
	tests := 0
	d := newDesk(t, alotwebhook.ReceiverConfig{Tests: func(context.Context, alotwebhook.Event) error { tests++; return nil }})
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, json.RawMessage) error {
		t.Error("a test was handled as an event")
		return nil
	})
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	h := http.Header{"x-alot-signature": {alotwebhook.Sign([]byte(payload), receiverSecret)}, "x-alot-test": {"true"}}
	require.NoError(t, d.Receive(t.Context(), []byte(payload), h))
	require.Equal(t, 1, tests)
	e, err := v.ParseBody([]byte(payload), h)
	require.NoError(t, err)
	require.True(t, e.Test)
	h["content-encoding"] = []string{"gzip"}
	require.ErrorIs(t, d.Receive(t.Context(), []byte(payload), h), alotwebhook.ErrEncodedBody)
}

// A REST API's event has each header in two maps. Whoever adds both gets a text that says so.
func TestSignaturesOfTwoMapsAreRefusedInWords(t *testing.T) {
	t.Parallel()
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	good := alotwebhook.Sign([]byte(payload), receiverSecret)
	for name, h := range map[string]http.Header{
		"twice":        {alotwebhook.SignatureHeader: {good, good}},
		"in two cases": {alotwebhook.SignatureHeader: {good}, "x-alot-signature": {good}},
	} {
		_, err := v.ParseBody([]byte(payload), h)
		require.ErrorIs(t, err, alotwebhook.ErrMalformedSignature, name)
		require.ErrorContains(t, err, "X-Alot-Signature stands there 2 times", name)
		require.ErrorContains(t, err, "headers or multiValueHeaders, not both", name)
		require.NotContains(t, err.Error(), good, name)
	}
}

// Servers write names in canonical form. A request that was made by hand, out of a map, may not.
func TestRequestsWithLowerCaseHeadersAreRefusedInWords(t *testing.T) {
	t.Parallel()
	const says = " stands there with a name not in canonical form: make the header with Header.Add"
	r, logged := loggingReceiver(t, alotwebhook.ReceiverConfig{})
	request := signed(payload)
	request.Header = lowerCase(request.Header)
	require.Equal(t, http.StatusUnauthorized, responseOf(r, request).StatusCode)
	line := onlyLine(t, logged)
	require.Equal(t, "not_signed", line["cause"])
	require.Contains(t, line["error"], "x-alot-signature"+says)

	request.Header = lowerCase(standardHeader([]byte(payload), time.Now(), receiverSecret))
	for _, only := range []bool{false, true} {
		_, err := standardVerifier(t, &alotwebhook.StandardConfig{Only: only}, receiverSecret).ParseRequest(request)
		require.ErrorIs(t, err, alotwebhook.ErrNotSigned)
		require.ErrorContains(t, err, says)
	}
}
