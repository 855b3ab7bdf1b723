package alotwebhook

// ParseRetryAfter is tested by itself: a receiver's odd values are easier to list
// than to send.
var ParseRetryAfter = retryAfter
