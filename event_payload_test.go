package alotwebhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

const (
	eventID = "evt_01jcc7wjz3e4qv8x5k2m9n6p0r"
	payload = `{"id":"` + eventID + `","type":"candidate.completed","timestamp":"2026-05-25T14:23:00.000Z",` +
		`"organizationId":"org_123","data":{"sessionId":"sess_123","score":82}}`
)

func TestPayloadAsPublished(t *testing.T) {
	t.Parallel()
	e := alotwebhook.Event{
		ID:             eventID,
		Type:           "candidate.completed",
		Timestamp:      time.Date(2026, 5, 25, 16, 23, 0, 0, time.FixedZone("", 2*60*60)),
		OrganizationID: "org_123",
		Data:           json.RawMessage(`{"sessionId":"sess_123","score":82}`),
	}
	require.Equal(t, payload, string(e.Payload()))
}

func TestPayloadTimestamp(t *testing.T) {
	t.Parallel()
	for want, at := range map[string]time.Time{
		"2026-05-25T14:23:00.000Z": time.Date(2026, 5, 25, 14, 23, 0, 0, time.UTC),
		"2026-05-25T14:23:00.100Z": time.Date(2026, 5, 25, 14, 23, 0, 100e6, time.UTC),
		"2026-05-25T14:23:00.999Z": time.Date(2026, 5, 25, 14, 23, 0, 999999999, time.UTC),
		"2026-01-01T00:30:00.001Z": time.Date(2025, 12, 31, 23, 30, 0, 1e6, time.FixedZone("", -60*60)),
		"0001-01-01T00:00:00.000Z": {},
	} {
		payload := alotwebhook.Event{ID: eventID, Type: "a", Timestamp: at, OrganizationID: "o", Data: json.RawMessage("1")}.Payload()
		require.Contains(t, string(payload), `"timestamp":"`+want+`"`)
		e, err := alotwebhook.ParseEvent(payload)
		require.NoError(t, err)
		require.True(t, at.Truncate(time.Millisecond).Equal(e.Timestamp))
	}
}

func TestDataPassesByteForByte(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		`{"z":1,"a":2}`, `12345678901234567890123`, `1.0`, `1e2`, `-0`, `"<b>&amp;</b>"`, `"\u003c"`,
		"\"\u2028\u2029\"", `{ "spaced" : [ 1 , 2 ] }`, "\"\u00e9\U0001F600\"", `"\ud83d\ude00"`, `"\ud800"`, `{"a":1,"a":2}`, `null`, `[]`,
	} {
		raw := json.RawMessage(data)
		for _, given := range []any{raw, &raw, []byte(data)} {
			e, err := alotwebhook.NewEvent("a.b", "org_1", given)
			require.NoError(t, err)
			require.Equal(t, data, string(e.Data))
			require.True(t, bytes.HasSuffix(e.Payload(), []byte(`,"data":`+data+`}`)))
			parsed, err := alotwebhook.ParseEvent(e.Payload())
			require.NoError(t, err)
			require.Equal(t, e, parsed)
		}
	}
}

func TestNewEventEncodes(t *testing.T) {
	t.Parallel()
	for want, data := range map[string]any{
		`{"text":"<a> & b","raw":{"n":12345678901234567890,"f":1.0,"h":"<&>"}}`: struct {
			Text string          `json:"text"`
			Raw  json.RawMessage `json:"raw"`
		}{"<a> & b", json.RawMessage(` {"n": 12345678901234567890, "f":1.0, "h":"<&>"}`)},
		`"text"`: "text",
		`null`:   nil,
		`{"sessionId":"s","score":0}`: alotwebhook.CandidateCompleted{
			SessionID: "s", Score: new(float64),
		},
	} {
		e, err := alotwebhook.NewEvent("a.b", "org_1", data)
		require.NoError(t, err)
		require.Equal(t, want, string(e.Data))
	}
}

func TestNewEventCopiesItsData(t *testing.T) {
	t.Parallel()
	data := []byte(`"kept"`)
	e, err := alotwebhook.NewEvent("a.b", "org_1", data)
	require.NoError(t, err)
	copy(data, `"lost"`)
	require.Equal(t, `"kept"`, string(e.Data))
}

type notUTF8 struct{}

func (notUTF8) MarshalJSON() ([]byte, error) { return []byte("\"\xff\""), nil }

func TestNewEventRefuses(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]any{
		"no raw data":       json.RawMessage(nil),
		"nil pointer":       (*json.RawMessage)(nil),
		"bytes not JSON":    []byte("plain text"),
		"two values":        json.RawMessage(`{} {}`),
		"not UTF-8":         json.RawMessage("\"\xff\""),
		"encoded not UTF-8": notUTF8{},
		"not encodable":     make(chan int),
		"not a number":      math.NaN(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := alotwebhook.NewEvent("a.b", "org_1", data)
			var field *alotwebhook.FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, "data", field.Field)
		})
	}
}

func TestPayloadQuotes(t *testing.T) {
	t.Parallel()
	for _, s := range []string{`a"b\c`, "line\nend", "\x00\x1f", "é<&>", "\u2028", "\u007f"} {
		e := alotwebhook.Event{ID: eventID, Type: s, OrganizationID: s, Data: json.RawMessage("1")}
		parsed, err := alotwebhook.ParseEvent(e.Payload())
		require.NoError(t, err)
		require.Equal(t, s, parsed.Type)
		require.Equal(t, s, parsed.OrganizationID)
	}
}

func TestEventJSON(t *testing.T) {
	t.Parallel()
	var e alotwebhook.Event
	require.NoError(t, json.Unmarshal([]byte(payload), &e))
	text, err := json.Marshal(e)
	require.NoError(t, err)
	require.Equal(t, payload, string(text))
	_, err = json.Marshal(alotwebhook.Event{})
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	require.ErrorIs(t, json.Unmarshal([]byte(`{}`), &e), alotwebhook.ErrMalformedEvent)
	require.Equal(t, eventID, e.ID, "kept on error")
}

func TestParseEvent(t *testing.T) {
	t.Parallel()
	want, err := alotwebhook.ParseEvent([]byte(payload))
	require.NoError(t, err)
	require.Equal(t, alotwebhook.Event{
		ID: eventID, Type: "candidate.completed", Timestamp: time.Date(2026, 5, 25, 14, 23, 0, 0, time.UTC),
		OrganizationID: "org_123", Data: json.RawMessage(`{"sessionId":"sess_123","score":82}`),
	}, want)

	for name, text := range map[string]string{
		"white space":     " \r\n\t" + strings.Replace(strings.Replace(payload, `":"`, "\" \n: \"", 3), `","`, "\" ,\t\"", 2) + "\n",
		"unknown key":     strings.Replace(payload, `{"id"`, `{"version":{"a":[1,"}"]},"id"`, 1),
		"escaped key":     strings.Replace(payload, `"type"`, `"\u0074ype"`, 1),
		"escaped value":   strings.Replace(payload, `"org_123"`, `"\u006frg_123"`, 1),
		"another order":   `{"data":{"sessionId":"sess_123","score":82},` + strings.TrimSuffix(payload[1:], `,"data":{"sessionId":"sess_123","score":82}}`) + `}`,
		"empty name":      strings.Replace(payload, `{"id"`, `{"":1,"id"`, 1),
		"64 unknown keys": strings.Replace(payload, `{"id"`, unknownKeys(64)+`,"id"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := alotwebhook.ParseEvent([]byte(text))
			require.NoError(t, err)
			require.Equal(t, want, e)
		})
	}
}

func unknownKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"unknown%d":%d`, i, i)
	}
	return "{" + b.String()[1:]
}

// with returns the payload with another value for one member.
func with(member, value string) string {
	from := strings.Index(payload, `"`+member+`":`) + len(member) + 3
	to := from + strings.IndexAny(payload[from:], ",}")
	if member == "data" {
		to = len(payload) - 1
	}
	return payload[:from] + value + payload[to:]
}

func TestParseEventRefuses(t *testing.T) {
	t.Parallel()
	second := func(key, value string) string { return payload[:len(payload)-1] + `,"` + key + `":` + value + `}` }
	for name, c := range map[string]struct{ text, says string }{
		"nothing":                {"", "not a JSON object"},
		"white space":            {" \n", "not a JSON object"},
		"array":                  {"[" + payload + "]", "not a JSON object"},
		"null":                   {"null", "not a JSON object"},
		"string":                 {`"text"`, "not a JSON object"},
		"byte order mark":        {"\ufeff" + payload, "not a JSON object"},
		"UTF-16":                 {"{\x00", "not one JSON value"},
		"not UTF-8":              {strings.Replace(payload, "sess", "\xff", 1), "not UTF-8"},
		"trailing garbage":       {payload + "x", "not one JSON value"},
		"two events":             {payload + payload, "not one JSON value"},
		"NUL behind":             {payload + "\x00", "not one JSON value"},
		"truncated":              {payload[:len(payload)-1], "not one JSON value"},
		"trailing comma":         {payload[:len(payload)-1] + ",}", "not one JSON value"},
		"comment":                {"{/**/" + payload[1:], "not one JSON value"},
		"single quotes":          {"{'id':1}", "not one JSON value"},
		"raw line end in a text": {with("type", "\"a\nb\""), "not one JSON value"},
		"NaN":                    {with("data", "NaN"), "not one JSON value"},
		"leading zero":           {with("data", "01"), "not one JSON value"},
		"very deep":              {with("data", strings.Repeat("[", 1e4)+strings.Repeat("]", 1e4)), "not one JSON value"},
		"id missing":             {strings.Replace(payload, `"id":"`+eventID+`",`, "", 1), `"id" is missing`},
		"all missing":            {"{}", `"id" is missing`},
		"id null":                {with("id", "null"), `"id" is not a string`},
		"id empty":               {with("id", `""`), `"id" is empty`},
		"id of another kind":     {with("id", `"dlv_01jcc7wjz3e4qv8x5k2m9n6p0r"`), `"id" does not begin with`},
		"id upper-case":          {with("id", `"evt_01JCC7WJZ3E4QV8X5K2M9N6P0R"`), `"id" has a character`},
		"type number":            {with("type", "1"), `"type" is not a string`},
		"type array":             {with("type", `["candidate.completed"]`), `"type" is not a string`},
		"type empty":             {with("type", `""`), `"type" is empty`},
		"organization null":      {with("organizationId", "null"), `"organizationId" is not a string`},
		"organization empty":     {with("organizationId", `""`), `"organizationId" is empty`},
		"timestamp number":       {with("timestamp", "1748182980"), `"timestamp" is not a string`},
		"twice":                  {second("id", `"`+eventID+`"`), `"id" appears twice`},
		"data twice":             {second("data", `{}`), `"data" appears twice`},
		"twice, once escaped":    {second(`\u0074ype`, `"a"`), `"type" appears twice`},
		"case folded":            {second("Type", `"a"`), `differs from "type" in case only`},
		"case folded, escaped":   {second(`\u0054ype`, `"a"`), `differs from "type" in case only`},
		"case folded, long s":    {second("time\u017ftamp", `"a"`), `differs from "timestamp" in case only`},
		"case folded instead":    {strings.Replace(payload, `"organizationId"`, `"organizationID"`, 1), `differs from "organizationId" in case only`},
		"unknown twice":          {strings.Replace(payload, `{"id"`, `{"x":1,"X":2,"id"`, 1), "a key appears twice"},
		"65 unknown keys":        {strings.Replace(payload, `{"id"`, unknownKeys(65)+`,"id"`, 1), "more than 64 unknown keys"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := alotwebhook.ParseEvent([]byte(c.text))
			require.ErrorIs(t, err, alotwebhook.ErrMalformedEvent)
			require.ErrorContains(t, err, c.says)
			require.Equal(t, alotwebhook.Event{}, e)
		})
	}
}

func TestParseEventTimestampForms(t *testing.T) {
	t.Parallel()
	for _, form := range []string{
		"2026-05-25T14:23:00Z", "2026-05-25T14:23:00.0000Z", "2026-05-25T14:23:00.00Z", "2026-05-25T14:23:00,000Z",
		"2026-05-25T14:23:00.000z", "2026-05-25t14:23:00.000Z", "2026-05-25 14:23:00.000Z", "2026-05-25T14:23:00.000",
		"2026-05-25T14:23:00.000+00:00", "2026-05-25T4:23:00.0000Z", "2026-13-25T14:23:00.000Z", "2026-00-25T14:23:00.000Z",
		"2026-04-31T14:23:00.000Z", "2026-05-00T14:23:00.000Z", "2026-02-29T14:23:00.000Z", "2026-05-25T24:00:00.000Z",
		"2026-05-25T14:60:00.000Z", "2026-05-25T14:23:60.000Z", "+026-05-25T14:23:00.000Z", "2026-05-25T14:23:00.-10Z",
		"２０26-05-25T14:00.000Z", " 026-05-25T14:23:00.000Z",
	} {
		_, err := alotwebhook.ParseEvent([]byte(with("timestamp", `"`+form+`"`)))
		require.ErrorIs(t, err, alotwebhook.ErrMalformedEvent, form)
		require.ErrorContains(t, err, `"timestamp" is not of the form`, form)
	}
	for _, form := range []string{"2024-02-29T23:59:59.999Z", "0000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"} {
		e, err := alotwebhook.ParseEvent([]byte(with("timestamp", `"`+form+`"`)))
		require.NoError(t, err)
		require.Equal(t, form, e.Timestamp.Format("2006-01-02T15:04:05.000Z"))
	}
}

func TestParseEventAliasesNothing(t *testing.T) {
	t.Parallel()
	body := []byte(payload)
	e, err := alotwebhook.ParseEvent(body)
	require.NoError(t, err)
	clear(body)
	require.Equal(t, payload, string(e.Payload()))
	e.Data = append(e.Data[:0], "null"...)
	require.Equal(t, eventID, e.ID)
}

func TestDecodeData(t *testing.T) {
	t.Parallel()
	e := alotwebhook.Event{Type: "candidate.completed", Data: json.RawMessage(`{"sessionId":"s","score":82.5,"candidateName":null,"later":[1]}`)}
	data, err := alotwebhook.DecodeData[alotwebhook.CandidateCompleted](e)
	require.NoError(t, err)
	score := 82.5
	require.Equal(t, alotwebhook.CandidateCompleted{SessionID: "s", Score: &score}, data)

	_, err = alotwebhook.DecodeData[[]int](e)
	require.ErrorIs(t, err, alotwebhook.ErrMalformedEvent)
	var fit *json.UnmarshalTypeError
	require.True(t, errors.As(err, &fit))
}
