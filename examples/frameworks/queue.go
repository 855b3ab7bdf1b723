package frameworks

import (
	"context"
	"net/http"

	"github.com/aws/aws-lambda-go/events"

	"github.com/alot/alotwebhook"
)

// Queue handles the messages of an SQS queue into which API Gateway, or a service of your own, puts the requests
// as they come: the raw body as the message's body, the headers as its attributes. The queue's trigger needs
// ReportBatchItemFailures: a message that failed comes again then, and the others do not.
//
// What is refused would be refused again, so it does not come again; the receiver's log has it. The queue answers
// 200 to everything, so that strangers fill it as well: put a limit of size in front. Timestamps of Standard
// Webhooks are of the request: the tolerance must be longer than a message may wait. A challenge, by which a sender
// has its URLs proven, must be answered in front: in the queue it is an event without a handler, and does nothing.
func Queue(r *alotwebhook.Receiver) func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
	return func(ctx context.Context, batch events.SQSEvent) (again events.SQSEventResponse, err error) {
		for _, m := range batch.Records {
			header := http.Header{}
			for name, attribute := range m.MessageAttributes {
				if attribute.StringValue != nil {
					header.Add(name, *attribute.StringValue)
				}
			}
			status := alotwebhook.StatusCode(r.Receive(ctx, []byte(m.Body), header))
			if status >= http.StatusInternalServerError || status == http.StatusConflict {
				again.BatchItemFailures = append(again.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
			}
		}
		return again, nil
	}
}
