-- additive
-- How often the host was told that the endpoint fails, since its last success.
ALTER TABLE {s}.endpoints ADD COLUMN warned integer NOT NULL DEFAULT 0;
-- What happened to endpoints, deliveries and recoveries. When it did is in the id. due_at is
-- when it may be claimed, NULL once it is handled.
CREATE TABLE {s}.operations (
	id              uuid PRIMARY KEY,
	due_at          timestamptz,
	claims          integer NOT NULL DEFAULT 0,
	type            text COLLATE "C" NOT NULL,
	organization_id text COLLATE "C" NOT NULL,
	endpoint_id     text COLLATE "C" NOT NULL,
	delivery_id     text COLLATE "C" NOT NULL,
	actor           text NOT NULL,
	note            text NOT NULL
);
CREATE INDEX operations_organization ON {s}.operations (organization_id, id);
CREATE INDEX operations_endpoint ON {s}.operations (endpoint_id, id);
CREATE INDEX operations_due ON {s}.operations (due_at, id) WHERE due_at IS NOT NULL;
