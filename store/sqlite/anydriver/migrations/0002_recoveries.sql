-- An endpoint's newest recovery.
CREATE TABLE alotwebhook_recoveries (
	endpoint     TEXT NOT NULL PRIMARY KEY,
	organization TEXT NOT NULL,
	state        TEXT NOT NULL,
	since        INTEGER,
	until        INTEGER,
	oldest       INTEGER,
	recovered    INTEGER NOT NULL,
	skipped      INTEGER NOT NULL,
	cursor       TEXT NOT NULL,
	created_at   INTEGER,
	updated_at   INTEGER,
	finished_at  INTEGER,
	version      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alotwebhook_recoveries_state ON alotwebhook_recoveries (state, endpoint);

-- The attempts of an hour by why they failed; no reason stands for success,
-- and its row, which every hour has, carries the durations of all.
CREATE TABLE alotwebhook_tallies (
	endpoint TEXT NOT NULL,
	hour     INTEGER NOT NULL, -- when it begins
	reason   TEXT NOT NULL,
	attempts INTEGER NOT NULL,
	duration INTEGER NOT NULL, -- nanoseconds
	slowest  INTEGER NOT NULL,
	PRIMARY KEY (endpoint, hour, reason)
) STRICT, WITHOUT ROWID;
CREATE INDEX alotwebhook_tallies_hour ON alotwebhook_tallies (hour);
