-- Endpoints. The key is what other tables refer to: eight bytes instead of an
-- id, and not reused when an endpoint of the same id is created again. The
-- revision counts every change, failing_since included, for caches.
CREATE TABLE {s}.endpoints (
	key             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id              text COLLATE "C" NOT NULL,
	organization_id text COLLATE "C" NOT NULL,
	url             text NOT NULL,
	description     text NOT NULL,
	event_types     text[] NOT NULL,
	secret          text NOT NULL,
	next_secret     text NOT NULL,
	next_secret_at  timestamptz,
	disabled        boolean NOT NULL,
	disabled_reason text NOT NULL,
	failing_since   timestamptz,
	created_at      timestamptz,
	updated_at      timestamptz,
	version         bigint NOT NULL,
	revision        bigint NOT NULL DEFAULT 0,
	deleted_at      timestamptz
);
CREATE UNIQUE INDEX endpoints_id ON {s}.endpoints (id) WHERE deleted_at IS NULL;
CREATE INDEX endpoints_gone ON {s}.endpoints (id) WHERE deleted_at IS NOT NULL;
CREATE INDEX endpoints_organization ON {s}.endpoints (organization_id, id);
-- The few that a success has to clear.
CREATE INDEX endpoints_failing ON {s}.endpoints (key) WHERE failing_since IS NOT NULL;

-- The hot table: unfinished deliveries only. next_at is when a delivery falls
-- due and, while it is leased, when the lease runs out. lease is the fencing
-- token of the newest claim, 0 after an outcome. tried is how many of the
-- attempts were made before the last redelivery.
CREATE TABLE {s}.queue (
	id         uuid PRIMARY KEY,
	endpoint   bigint NOT NULL,
	event_id   uuid NOT NULL,
	next_at    timestamptz NOT NULL,
	lease      bigint NOT NULL DEFAULT 0,
	attempts   integer NOT NULL DEFAULT 0,
	tried      integer NOT NULL DEFAULT 0,
	claims     integer NOT NULL DEFAULT 0,
	event_type text NOT NULL
) WITH (
	autovacuum_vacuum_scale_factor = 0.1,
	autovacuum_vacuum_threshold = 10000,
	autovacuum_vacuum_insert_scale_factor = 0.5,
	autovacuum_analyze_scale_factor = 0.2,
	autovacuum_analyze_threshold = 10000
);
CREATE INDEX queue_due ON {s}.queue (endpoint, next_at, id);

-- What is kept, by the day that an id begins with. Ids of other days than those
-- that have a partition go into the default one.
CREATE TABLE {s}.events (
	id              uuid PRIMARY KEY,
	type            text NOT NULL,
	organization_id text COLLATE "C" NOT NULL,
	payload         text,
	created_at      timestamptz NOT NULL
) PARTITION BY RANGE (id);
-- Compressing a payload costs more time than it saves space.
ALTER TABLE {s}.events ALTER COLUMN payload SET STORAGE EXTERNAL;
-- What purging payloads has left to look at.
CREATE INDEX events_payload ON {s}.events (id) WHERE payload IS NOT NULL;

-- Finished deliveries, each with its last attempt: number 0 is none.
CREATE TABLE {s}.deliveries (
	id            uuid PRIMARY KEY,
	endpoint      bigint NOT NULL,
	event_id      uuid NOT NULL,
	finished_at   timestamptz NOT NULL,
	started_at    timestamptz,
	duration_ns   bigint NOT NULL DEFAULT 0,
	attempts      integer NOT NULL,
	number        integer NOT NULL DEFAULT 0,
	status_code   integer NOT NULL DEFAULT 0,
	delivered     boolean NOT NULL,
	event_type    text NOT NULL,
	reason        text NOT NULL DEFAULT '',
	detail        text NOT NULL DEFAULT '',
	response_body text NOT NULL DEFAULT ''
) PARTITION BY RANGE (id);
CREATE INDEX deliveries_endpoint ON {s}.deliveries (endpoint, id);
CREATE INDEX deliveries_failed ON {s}.deliveries (endpoint, id) WHERE NOT delivered;

-- The attempts before the last one of a finished delivery, and all of an
-- unfinished one.
CREATE TABLE {s}.attempts (
	delivery_id   uuid NOT NULL,
	started_at    timestamptz NOT NULL,
	duration_ns   bigint NOT NULL,
	number        integer NOT NULL,
	status_code   integer NOT NULL,
	reason        text NOT NULL,
	detail        text NOT NULL,
	response_body text NOT NULL
) PARTITION BY RANGE (delivery_id);
CREATE INDEX attempts_delivery ON {s}.attempts (delivery_id, number);

CREATE TABLE {s}.events_default PARTITION OF {s}.events DEFAULT;
CREATE TABLE {s}.deliveries_default PARTITION OF {s}.deliveries DEFAULT;
CREATE TABLE {s}.attempts_default PARTITION OF {s}.attempts DEFAULT;
