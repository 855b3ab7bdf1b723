CREATE TABLE candidates (
	session_id text PRIMARY KEY,
	score      integer NOT NULL
);
