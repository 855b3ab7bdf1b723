-- additive
-- The most requests a second that an endpoint gets, 0 where it has no limit of its own.
ALTER TABLE {s}.endpoints ADD COLUMN rate double precision NOT NULL DEFAULT 0;
