-- additive
-- The few endpoints that operators look for, in the order of a page.
CREATE INDEX endpoints_troubled ON {s}.endpoints (id) WHERE deleted_at IS NULL AND (disabled OR failing_since IS NOT NULL);

-- What else a recovery selects, who began it, and why. One over many endpoints has its own id in
-- endpoint_id.
ALTER TABLE {s}.recoveries
	ADD COLUMN event_id     text NOT NULL DEFAULT '',
	ADD COLUMN event_type   text NOT NULL DEFAULT '',
	ADD COLUMN reason       text NOT NULL DEFAULT '',
	ADD COLUMN failed_since timestamptz,
	ADD COLUMN failed_until timestamptz,
	ADD COLUMN actor        text NOT NULL DEFAULT '',
	ADD COLUMN note         text NOT NULL DEFAULT '';

-- Whose deliveries are held back. An empty id stands for all.
CREATE TABLE {s}.pauses (
	organization_id text COLLATE "C" NOT NULL,
	endpoint_id     text COLLATE "C" NOT NULL,
	actor           text NOT NULL,
	note            text NOT NULL,
	at              timestamptz,
	PRIMARY KEY (organization_id, endpoint_id)
);
