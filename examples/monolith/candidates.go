package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"unicode"

	"github.com/alot/alotwebhook"
)

const (
	maxBody = 64 << 10 // of a request, in bytes
	maxText = 256      // of each of its fields, in bytes
)

// candidates is the product's own API.
type candidates struct {
	db         database
	dispatcher *alotwebhook.Dispatcher
	caller     func(*http.Request) (claims, error)
	log        *slog.Logger
}

// completion is the body of a request to complete a candidate.
type completion struct {
	AssessmentID   string   `json:"assessmentId"`
	CandidateName  string   `json:"candidateName"`
	CandidateEmail string   `json:"candidateEmail"`
	Score          *float64 `json:"score"`
	Status         string   `json:"status"`
}

var errScore = errors.New("score is below 0; neither the candidate nor its event was stored")

func (cs *candidates) complete(w http.ResponseWriter, r *http.Request) {
	caller, err := cs.caller(r)
	switch {
	case err != nil:
		refuse(w, http.StatusUnauthorized, "give a valid bearer token")
		return
	case caller.Role != "":
		refuse(w, http.StatusForbidden, "your role may only look")
		return
	}
	data, err := readCompletion(w, r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	event, err := cs.store(r.Context(), caller.OrganizationID, data)
	if err != nil {
		cs.fail(w, r, err)
		return
	}
	respond(w, http.StatusCreated, map[string]string{"eventId": event.ID})
}

// store writes the candidate and emits the event in one transaction. Afterwards both exist,
// or neither.
func (cs *candidates) store(ctx context.Context, organization string, data alotwebhook.CandidateCompleted) (alotwebhook.Event, error) {
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, organization, data)
	if err != nil {
		return event, err
	}
	return event, cs.db.inTransaction(ctx, func(tx transaction) error {
		if err := tx.insert(ctx, candidate{organization, data, event.ID}); err != nil {
			return err
		}
		if err := cs.dispatcher.EmitTo(ctx, tx, event); err != nil {
			return err
		}
		// A real product would check this first. Here it comes last to show that the
		// rollback removes the event together with the row.
		if data.Score != nil && *data.Score < 0 {
			return errScore
		}
		return nil
	})
}

func (cs *candidates) read(w http.ResponseWriter, r *http.Request) {
	caller, err := cs.caller(r)
	if err != nil {
		refuse(w, http.StatusUnauthorized, "give a valid bearer token")
		return
	}
	session := r.PathValue("sessionId")
	if textProblem(session) != "" {
		refuse(w, http.StatusNotFound, errNoCandidate.Error())
		return
	}
	c, err := cs.db.candidate(r.Context(), caller.OrganizationID, session)
	if err != nil {
		cs.fail(w, r, err)
		return
	}
	respond(w, http.StatusOK, c)
}

// fail responds to an error of the database. It shows the product's own errors only.
func (cs *candidates) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errNoCandidate):
		refuse(w, http.StatusNotFound, errNoCandidate.Error())
	case errors.Is(err, errCompleted):
		refuse(w, http.StatusConflict, errCompleted.Error())
	case errors.Is(err, errScore):
		refuse(w, http.StatusUnprocessableEntity, errScore.Error())
	default:
		cs.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		refuse(w, http.StatusInternalServerError, "the request failed because of an error on the server; try it again")
	}
}

// readCompletion reads the body strictly. Its errors may be shown: those of encoding/json
// name a field, and never quote a value.
func readCompletion(w http.ResponseWriter, r *http.Request) (data alotwebhook.CandidateCompleted, err error) {
	var body completion
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		return data, fmt.Errorf("the body is not a completion: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return data, errors.New("the body has more text after its JSON object")
	}
	data = alotwebhook.CandidateCompleted{
		SessionID: r.PathValue("sessionId"), AssessmentID: body.AssessmentID,
		CandidateName: body.CandidateName, CandidateEmail: body.CandidateEmail,
		Score: body.Score, Status: body.Status,
	}
	return data, check(data)
}

// check refuses a field that is missing, too long or not plain text.
func check(data alotwebhook.CandidateCompleted) error {
	for _, field := range []struct{ name, value string }{
		{"sessionId", data.SessionID}, {"assessmentId", data.AssessmentID}, {"status", data.Status},
		{"candidateName", data.CandidateName}, {"candidateEmail", data.CandidateEmail},
	} {
		if problem := textProblem(field.value); problem != "" {
			return fmt.Errorf("%s %s", field.name, problem)
		}
	}
	return nil
}

// textProblem says what is wrong with a field's value; "" for nothing.
func textProblem(text string) string {
	switch {
	case text == "":
		return "is missing"
	case len(text) > maxText:
		return fmt.Sprintf("has %d bytes; at most %d are allowed", len(text), maxText)
	case strings.ContainsFunc(text, unicode.IsControl) || strings.ToValidUTF8(text, "") != text:
		return "has control characters or is not UTF-8"
	}
	return ""
}
