-- additive
-- The few endpoints that operators look for, in the order of a page.
CREATE INDEX endpoints_troubled ON {s}.endpoints (id) WHERE deleted_at IS NULL AND (disabled OR failing_since IS NOT NULL);

-- What else a recovery selects, who began it, and why. One over many endpoints has its own id in
-- endpoint_id. Releases before this one leave these columns as they are: the values count only as
-- long as begun_at is created_at. narrowed is the version of a recovery that selects by them, or
-- over many endpoints, else 0. By the constraint, those releases leave it alone: they would send all
-- that failed.
ALTER TABLE {s}.recoveries
	ADD COLUMN event_id     text NOT NULL DEFAULT '',
	ADD COLUMN event_type   text NOT NULL DEFAULT '',
	ADD COLUMN reason       text NOT NULL DEFAULT '',
	ADD COLUMN failed_since timestamptz,
	ADD COLUMN failed_until timestamptz,
	ADD COLUMN actor        text NOT NULL DEFAULT '',
	ADD COLUMN note         text NOT NULL DEFAULT '',
	ADD COLUMN begun_at     timestamptz,
	ADD COLUMN narrowed     bigint NOT NULL DEFAULT 0,
	ADD CONSTRAINT recovery_is_of_a_newer_release CHECK (narrowed = 0 OR narrowed = version OR begun_at IS DISTINCT FROM created_at);

-- Whose deliveries are held back. An empty id stands for all.
CREATE TABLE {s}.pauses (
	organization_id text COLLATE "C" NOT NULL,
	endpoint_id     text COLLATE "C" NOT NULL,
	actor           text NOT NULL,
	note            text NOT NULL,
	at              timestamptz,
	PRIMARY KEY (organization_id, endpoint_id)
);
