package alotwebhook

// ParseRetryAfter gives the tests access to retryAfter: odd values of the header are easier
// to list than to send.
var ParseRetryAfter = retryAfter
