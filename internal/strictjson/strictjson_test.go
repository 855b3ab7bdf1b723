package strictjson_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/strictjson"
)

// texts are valid and invalid ones, around each rule of the grammar.
var texts = []string{
	``, ` `, `{}`, `[]`, `[1,-2.5e+3,0,0.0,1E-2,-0]`, `{"a":{"b":[null,true,false]},"c":""}`, `"\"\\\/\b\f\n\r\t\u00e9"`,
	`[1,]`, `[,1]`, `{"a":1,}`, `{"a"}`, `{a:1}`, `{"a":}`, `01`, `1.`, `.1`, `-`, `+1`, `1e`, `1e+`, `tru`, `truee`, `nul`,
	`"`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\x1f\"", "\"\x7f\"", `[`, `]`, `{`, `}`, `[}`, `{]`, `1 2`, ` [ 1 ] `, "[1]\x00",
	strings.Repeat("[", 10000) + strings.Repeat("]", 10000), strings.Repeat("[", 10001) + strings.Repeat("]", 10001),
	strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000),
	`{"id":"evt_1","type":"a.b","data":{"sessionId":"sess_123","score":82}}`,
}

func TestValid(t *testing.T) {
	t.Parallel()
	for _, text := range texts {
		require.Equal(t, json.Valid([]byte(text)), strictjson.Valid([]byte(text)), "%.40q", text)
	}
	require.True(t, json.Valid([]byte("\"\xff\"")))
	require.False(t, strictjson.Valid([]byte("\"\xff\"")), "a string must be UTF-8")
}

func FuzzValid(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		require.Equal(t, utf8.Valid(text) && json.Valid(text), strictjson.Valid(text))
	})
}

// object reads an object with two known keys.
func object(text string) (values [2][]byte, err error) {
	err = strictjson.Object([]byte(text), []string{"id", "tasks"}, values[:])
	return values, err
}

func TestObject(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2][]byte{
		`{}`:                                {},
		` {"id" : 1 , "tasks":[ 2 ]} `:      {[]byte("1"), []byte("[ 2 ]")},
		`{"tasks":null,"\u0069d":"\u0061"}`: {[]byte(`"\u0061"`), []byte("null")},
		`{"":1,"other":{"id":2,"id":3}}`:    {}, // only the outermost object is read
	} {
		values, err := object(text)
		require.NoError(t, err, text)
		require.Equal(t, want, values, text)
	}
}

func TestObjectRefuses(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		``:                          "not a JSON object",
		`[]`:                        "not a JSON object",
		"{\"\xff\":1}":              "not UTF-8",
		`{} {}`:                     "not one JSON value",
		`{"id":1`:                   "not one JSON value",
		`{"id":1,"id":1}`:           `"id" appears twice`,
		`{"id":1,"\u0069\u0064":1}`: `"id" appears twice`,
		`{"ID":1}`:                  `the key "ID" differs from "id" in case only`,
		`{"ta\u017fks":1}`:          `differs from "tasks" in case only`, // the long s folds to s
		`{"x":1,"X":2}`:             `a key appears twice: "X"`,
		twice("\u00e9", 100):        `"` + strings.Repeat(`\u00e9`, 40) + `\u2026"`, // cut between characters
	} {
		_, err := object(text)
		require.ErrorContains(t, err, says, text)
	}
}

// twice returns an object in which one long key appears twice.
func twice(character string, times int) string {
	key := strings.Repeat(character, times)
	return fmt.Sprintf(`{"%s":1,"%s":2}`, key, key)
}

func TestObjectBoundsUnknownKeys(t *testing.T) {
	t.Parallel()
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"unknown%d":%d`, i, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	_, err := object(keys(64))
	require.NoError(t, err)
	_, err = object(keys(65))
	require.ErrorContains(t, err, "more than 64 unknown keys")
}

func TestUnquote(t *testing.T) {
	t.Parallel()
	literal := []byte(`"plain"`)
	got := strictjson.Unquote(literal)
	require.Equal(t, "plain", string(got))
	literal[1] = 'P'
	require.Equal(t, "Plain", string(got), "a part of the literal")
	require.Equal(t, "a\"\n/é", string(strictjson.Unquote([]byte(`"a\"\n\/\u00e9"`))))
}
