package alotwebhook

// What tests need of the insides.

var (
	FormatID        = formatID
	ParseID         = parseID
	ValidJSON       = validJSON
	CheckEventTypes = checkEventTypes
	ParseRetryAfter = retryAfter
)
