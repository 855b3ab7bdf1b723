-- An endpoint's newest recovery.
CREATE TABLE {s}.recoveries (
	endpoint_id     text COLLATE "C" PRIMARY KEY,
	organization_id text COLLATE "C" NOT NULL,
	state           text NOT NULL,
	since           timestamptz,
	until           timestamptz,
	oldest          timestamptz,
	recovered       bigint NOT NULL,
	skipped         bigint NOT NULL,
	cursor          text NOT NULL,
	created_at      timestamptz,
	updated_at      timestamptz,
	finished_at     timestamptz,
	version         bigint NOT NULL
);
CREATE INDEX recoveries_state ON {s}.recoveries (state, endpoint_id);

-- The attempts of an hour by why they failed. No reason stands for success,
-- and its row, which every hour has, carries the durations of all. Half of each
-- page is left free for the new versions of its rows.
CREATE TABLE {s}.tallies (
	endpoint_id text COLLATE "C" NOT NULL,
	hour        timestamptz NOT NULL,
	reason      text COLLATE "C" NOT NULL,
	attempts    bigint NOT NULL,
	duration_ns bigint NOT NULL,
	slowest_ns  bigint NOT NULL,
	PRIMARY KEY (endpoint_id, hour, reason)
) WITH (fillfactor = 50);
CREATE INDEX tallies_hour ON {s}.tallies (hour);
