-- name: CreateCandidate :exec
INSERT INTO candidates (session_id, score) VALUES ($1, $2);
