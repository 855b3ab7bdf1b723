package text_test

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/text"
)

func TestClipEndsAtACharacter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		given string
		most  int
		want  string
	}{
		{"", 0, ""},
		{"candidate", 9, "candidate"},
		{"candidates", 9, "candidate…"},
		{"éé", 4, "éé"},
		{"ééé", 4, "éé…"},
		{"ééé", 5, "éé…"},
		{"a€€", 3, "a…"},
		{"😀😀", 5, "😀…"},
		{"€", 2, "…"},
		{"\x80\x80\x80", 2, "…"}, // no character begins in it
	} {
		got := text.Clip(tc.given, tc.most)
		require.Equal(t, tc.want, got, "%q to %d", tc.given, tc.most)
		require.True(t, utf8.ValidString(got))
	}
}

func TestListsThatReadAlikeHashDifferently(t *testing.T) {
	t.Parallel()
	lists := [][]string{
		{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"b", "a"}, {"", "ab"}, {"ab", ""}, {"1:a", "b"}, {"a1:b"},
	}
	seen := map[[32]byte][]string{}
	for _, list := range lists {
		hash := text.Hash(list...)
		require.Equal(t, hash, text.Hash(list...))
		require.NotContains(t, seen, hash, "%q and %q", seen[hash], list)
		seen[hash] = list
	}
}

func TestWhatATextIsMadeOf(t *testing.T) {
	t.Parallel()
	for s, want := range map[string][2]bool{
		"": {true, true}, "Jane Smith ~!": {true, true}, "Zoë 第": {true, false}, "a\tb": {false, false}, "\x7f": {false, false}, "\x00": {false, false}, "\xff": {false, false},
	} {
		require.Equal(t, want, [2]bool{text.IsPlain(s), text.IsPrintableASCII(s)}, "%q", s)
	}
}

func TestStorable(t *testing.T) {
	t.Parallel()
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	got := text.Storable(string(all) + "é\uFFFD")
	require.True(t, utf8.ValidString(got))
	require.NotContains(t, got, "\x00")
	require.Contains(t, got, "é\uFFFD")
	require.Contains(t, got, string(all[1:128]))
}

func TestSecretProblem(t *testing.T) {
	t.Parallel()
	require.Empty(t, text.SecretProblem("your-signing-secret", 16, 256))
	require.Empty(t, text.SecretProblem("é b", 4, 4))
	for secret, problem := range map[string]string{
		"": "is empty", " \n": "is empty or blank", "hunter2\n": "white space", "\thunter2": "white space",
		"hunter2": "has 7 bytes; at most 6", "hunt": "has 4 bytes; give at least 5", "abc\x00b": "control", "abc\xffb": "UTF-8",
	} {
		got := text.SecretProblem(secret, 5, 6)
		require.Contains(t, got, problem)
		require.NotContains(t, got, "hunter2")
	}
}
