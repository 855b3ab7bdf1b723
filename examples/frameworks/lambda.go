package frameworks

import (
	"context"
	"net/http"
	"strconv"

	"github.com/aws/aws-lambda-go/events"

	"github.com/alot/alotwebhook"
)

// REST handles the events of an API Gateway REST API, and of an HTTP API with payloads of version 1.0. In main:
// lambda.Start(frameworks.REST(receiver)). Such an event has each header in two maps, of which receive takes one.
func REST(r *alotwebhook.Receiver) func(context.Context, events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	return func(ctx context.Context, e events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
		w := receive(ctx, r, envelope{e.HTTPMethod, e.Headers, e.MultiValueHeaders, e.Body, e.IsBase64Encoded})
		return events.APIGatewayProxyResponse{StatusCode: w.status, Headers: w.single(), Body: w.String()}, nil
	}
}

// HTTP handles the events of an API Gateway HTTP API. Their headers have names in lower case.
func HTTP(r *alotwebhook.Receiver) func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return func(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		w := receive(ctx, r, envelope{e.RequestContext.HTTP.Method, e.Headers, nil, e.Body, e.IsBase64Encoded})
		return events.APIGatewayV2HTTPResponse{StatusCode: w.status, Headers: w.single(), Body: w.String()}, nil
	}
}

// FunctionURL handles the events of a Lambda function URL, which look like those of an HTTP API.
func FunctionURL(r *alotwebhook.Receiver) func(context.Context, events.LambdaFunctionURLRequest) (events.LambdaFunctionURLResponse, error) {
	return func(ctx context.Context, e events.LambdaFunctionURLRequest) (events.LambdaFunctionURLResponse, error) {
		w := receive(ctx, r, envelope{e.RequestContext.HTTP.Method, e.Headers, nil, e.Body, e.IsBase64Encoded})
		return events.LambdaFunctionURLResponse{StatusCode: w.status, Headers: w.single(), Body: w.String()}, nil
	}
}

// ALB handles the events of an Application Load Balancer. They have one of the two maps, as its target
// group is set, and their responses must have the same.
func ALB(r *alotwebhook.Receiver) func(context.Context, events.ALBTargetGroupRequest) (events.ALBTargetGroupResponse, error) {
	return func(ctx context.Context, e events.ALBTargetGroupRequest) (events.ALBTargetGroupResponse, error) {
		w := receive(ctx, r, envelope{e.HTTPMethod, e.Headers, e.MultiValueHeaders, e.Body, e.IsBase64Encoded})
		response := events.ALBTargetGroupResponse{
			StatusCode:        w.status,
			StatusDescription: strconv.Itoa(w.status) + " " + http.StatusText(w.status),
			Body:              w.String(),
		}
		if len(e.MultiValueHeaders) > 0 {
			response.MultiValueHeaders = w.header
		} else {
			response.Headers = w.single()
		}
		return response, nil
	}
}
