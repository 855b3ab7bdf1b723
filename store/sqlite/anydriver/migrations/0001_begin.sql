-- Every instant is in microseconds since 1970 (UTC). The ids of events and
-- deliveries are the 16 bytes behind their spelling.

-- How often the endpoints were changed: what keeps each process's copy honest.
CREATE TABLE alotwebhook_changes (
	endpoints INTEGER NOT NULL
) STRICT;
INSERT INTO alotwebhook_changes VALUES (1);

-- Names of event types, so that a delivery carries a small number.
CREATE TABLE alotwebhook_types (
	ref  INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE alotwebhook_events (
	ref          INTEGER PRIMARY KEY,
	id           BLOB NOT NULL UNIQUE,
	type         INTEGER NOT NULL,
	happened_at  INTEGER NOT NULL,
	stored_at    INTEGER NOT NULL,
	organization TEXT NOT NULL,
	payload      BLOB -- NULL: erased
) STRICT;

-- A deleted endpoint stays for the history that refers to it, without its
-- URL and secrets. What a claim looks at comes first in the row.
CREATE TABLE alotwebhook_endpoints (
	ref             INTEGER PRIMARY KEY AUTOINCREMENT,
	active          INTEGER NOT NULL, -- neither disabled nor deleted
	failing_since   INTEGER,
	deleted_at      INTEGER,
	id              TEXT NOT NULL,
	organization    TEXT NOT NULL,
	version         INTEGER NOT NULL,
	url             TEXT NOT NULL,
	description     TEXT NOT NULL,
	event_types     TEXT NOT NULL, -- a JSON array
	secret          TEXT NOT NULL,
	next_secret     TEXT NOT NULL,
	next_secret_at  INTEGER,
	disabled        INTEGER NOT NULL,
	disabled_reason TEXT NOT NULL,
	created_at      INTEGER,
	updated_at      INTEGER
) STRICT;
CREATE INDEX alotwebhook_endpoints_id ON alotwebhook_endpoints (id);
CREATE INDEX alotwebhook_endpoints_organization ON alotwebhook_endpoints (organization, id);
CREATE INDEX alotwebhook_endpoints_inactive ON alotwebhook_endpoints (ref) WHERE active = 0;
CREATE INDEX alotwebhook_endpoints_deleted ON alotwebhook_endpoints (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE alotwebhook_subscriptions (
	organization TEXT NOT NULL,
	type         TEXT NOT NULL,
	endpoint     INTEGER NOT NULL,
	PRIMARY KEY (organization, type, endpoint)
) STRICT, WITHOUT ROWID;
CREATE INDEX alotwebhook_subscriptions_endpoint ON alotwebhook_subscriptions (endpoint);

-- The unfinished deliveries, and nothing else: what a claim reads is as large
-- as the backlog, not as the history.
CREATE TABLE alotwebhook_queue (
	id         BLOB NOT NULL PRIMARY KEY,
	endpoint   INTEGER NOT NULL,
	next_at    INTEGER NOT NULL, -- due then: not before its time, nor before its lease is over
	lease      INTEGER NOT NULL, -- the newest claim's token, 0 for none
	claims     INTEGER NOT NULL, -- since the last outcome or release
	attempts   INTEGER NOT NULL,
	tried      INTEGER NOT NULL, -- attempts before the last redelivery
	event      INTEGER NOT NULL,
	type       INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	status     INTEGER NOT NULL, -- of the newest attempt
	reason     TEXT NOT NULL,
	history    TEXT NOT NULL     -- the attempts as JSON objects, with commas between
) STRICT, WITHOUT ROWID;
CREATE INDEX alotwebhook_queue_due ON alotwebhook_queue (endpoint, next_at);

-- The finished deliveries. A row comes here from the queue with its last attempt.
CREATE TABLE alotwebhook_deliveries (
	id          BLOB NOT NULL PRIMARY KEY,
	endpoint    INTEGER NOT NULL,
	state       INTEGER NOT NULL, -- 1 delivered, 2 failed
	type        INTEGER NOT NULL,
	event       INTEGER NOT NULL,
	attempts    INTEGER NOT NULL,
	created_at  INTEGER NOT NULL,
	finished_at INTEGER NOT NULL,
	status      INTEGER NOT NULL,
	reason      TEXT NOT NULL,
	history     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alotwebhook_deliveries_group ON alotwebhook_deliveries (endpoint, state, type);
