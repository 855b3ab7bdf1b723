package proof_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/mac"
	"github.com/alot/alotwebhook/internal/proof"
)

const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

func TestAnswersAreProofs(t *testing.T) {
	t.Parallel()
	data := proof.NewData()
	require.NotEqual(t, data, proof.NewData())
	for _, key := range []string{secret, mac.StandardKey(secret)} {
		got := proof.Answer(proof.EventType, data, key)
		require.Empty(t, proof.Problem(string(got), data, secret))
		require.Empty(t, proof.Problem(string(got), data, "another secret!!", secret), "of any secret")
		require.NotEmpty(t, proof.Problem(string(got), data, "another secret!!"))
		require.NotEmpty(t, proof.Problem(string(got), data))
		require.NotEmpty(t, proof.Problem(string(got), proof.NewData(), secret), "of another challenge")
	}
	// This is the form as it is published.
	var of struct{ PlainToken string }
	require.NoError(t, json.Unmarshal(data, &of))
	require.Len(t, of.PlainToken, 43)
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(of.PlainToken))
	want := `{"plainToken":"` + of.PlainToken + `","encryptedToken":"` + hex.EncodeToString(h.Sum(nil)) + `"}`
	require.Equal(t, want, string(proof.Answer(proof.EventType, data, secret)))
}

func TestOnlyChallengesAreAnswered(t *testing.T) {
	t.Parallel()
	data := proof.NewData()
	require.Nil(t, proof.Answer("candidate.completed", data, secret))
	require.Nil(t, proof.Answer(proof.EventType, data, ""), "with an empty key, anybody could answer")
	token := strings.Repeat("A", 43)
	require.NotNil(t, proof.Answer(proof.EventType, []byte(`{"plainToken":"`+token+`","more":1}`), secret))
	for _, bad := range []string{
		`{}`, `null`, `[]`, `"x"`, `{"plainToken":1}`, `{"plainToken":""}`,
		`{"plainToken":"` + token + `A"}`, `{"plainToken":"` + token[1:] + `"}`, `{"plainToken":"` + token[1:] + `\n"}`,
		`{"plainToken":"` + token + `\n"}`, `{"plainToken":"` + token[1:] + `."}`, `{"plainToken":"` + token[1:] + `B"}`, // the last has odd bits
		`{"plainToken":"{\"id\":\"evt_01kt0v7fbgf0m8n2p4q6r7s9tv\"}"}`,
	} {
		require.Nil(t, proof.Answer(proof.EventType, []byte(bad), secret), bad)
	}
}

func TestWhatIsNoProof(t *testing.T) {
	t.Parallel()
	data := proof.NewData()
	right := string(proof.Answer(proof.EventType, data, secret))
	for body, says := range map[string]string{
		"":                     "no body",
		" \r\n":                "no body",
		"ok":                   "no JSON object",
		"[" + right:            "no JSON object",
		`"` + "x" + `"`:        "no JSON object",
		`{}`:                   "missing in the response",
		string(data):           "repeats the challenge",
		strings.ToUpper(right): "wrong",
		strings.Replace(right, `Token":"`, `Token":"sha256=`, 2):                                        "wrong",
		`{"data":` + string(data) + `,"headers":{"X-Alot-Signature":"` + mac.Sign(data, secret) + `"}}`: "repeats the challenge",
		`{"encryptedToken":"` + mac.Sign(data, secret) + `"}`:                                           "wrong",
	} {
		require.Contains(t, proof.Problem(body, data, secret), says, body)
	}
}
