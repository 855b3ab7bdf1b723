package frameworks_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/examples/frameworks"
	"github.com/alot/alotwebhook/webhooktest"
)

// message returns an SQS message with a body and a signature under a name of a header.
func message(t *testing.T, id, name, signature string, body []byte) object {
	t.Helper()
	m := read(t, "sqs.json")["Records"].([]any)[0].(object)
	m["messageId"], m["body"] = id, string(body)
	m["messageAttributes"] = object{name: object{"stringValue": signature, "stringListValues": []any{}, "binaryListValues": []any{}, "dataType": "String"}}
	return m
}

// again runs a batch through the function, and returns the messages that are to come again.
func again(t *testing.T, r *alotwebhook.Receiver, messages ...object) (ids []string) {
	t.Helper()
	payload, err := json.Marshal(object{"Records": messages})
	require.NoError(t, err)
	answer, err := lambda.NewHandler(frameworks.Queue(r)).Invoke(t.Context(), payload)
	require.NoError(t, err)
	var response events.SQSEventResponse
	require.NoError(t, json.Unmarshal(answer, &response))
	for _, f := range response.BatchItemFailures {
		ids = append(ids, f.ItemIdentifier)
	}
	return ids
}

func TestQueue(t *testing.T) {
	t.Parallel()
	r, a := newReceiver(t)
	good, lower, forged := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil), webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil), webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)
	batch := []object{
		message(t, "good", alotwebhook.SignatureHeader, alotwebhook.Sign(good.Payload(), secret), good.Payload()),
		message(t, "again", alotwebhook.SignatureHeader, alotwebhook.Sign(good.Payload(), secret), good.Payload()),
		message(t, "lower", "x-alot-signature", alotwebhook.Sign(lower.Payload(), secret), lower.Payload()),
		message(t, "forged", alotwebhook.SignatureHeader, alotwebhook.Sign(forged.Payload(), "another"), forged.Payload()),
	}
	require.Empty(t, again(t, r, batch...), "what is refused would be refused again")
	require.Equal(t, []int{1, 1, 0}, []int{a.times(good.ID), a.times(lower.ID), a.times(forged.ID)})
}

func TestQueueGetsBackWhatFailed(t *testing.T) {
	t.Parallel()
	r, a := newReceiver(t)
	e := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)
	m := message(t, "failing", alotwebhook.SignatureHeader, alotwebhook.Sign(e.Payload(), secret), e.Payload())
	for _, err := range []error{errors.New("broken"), alotwebhook.RetryAfter(errors.New("later"), time.Minute)} {
		a.fail = err
		require.Equal(t, []string{"failing"}, again(t, r, m))
	}
	a.fail = alotwebhook.Permanent(errors.New("given up"))
	require.Empty(t, again(t, r, m))
	a.fail = nil
	require.Empty(t, again(t, r, m))
}

// A challenge in a queue comes too late for an answer. It must not come again.
func TestQueueDropsChallenges(t *testing.T) {
	t.Parallel()
	r, _ := newReceiver(t)
	e := webhooktest.NewEvent(t, "endpoint.url_validation", map[string]string{"plainToken": strings.Repeat("A", 43)})
	require.NotEmpty(t, alotwebhook.Prove(e, secret))
	require.Empty(t, again(t, r, message(t, "challenge", alotwebhook.SignatureHeader, alotwebhook.Sign(e.Payload(), secret), e.Payload())))
}
