-- name: add_writer!
INSERT INTO installation_writer (writer_id, change, at)
VALUES (:writer_id, 0, cast(extract(epoch FROM now()) AS bigint));

-- name: forget_writers!
-- Connections that have long ended.
DELETE FROM installation_writer
 WHERE at < cast(extract(epoch FROM now()) AS bigint) - :seconds;

-- name: begin_change
-- Wait for the tenant's lock, and note the number of this transaction: it stays if, and only if, that is committed.
UPDATE installation_writer
   SET change = :change,
       at = cast(extract(epoch FROM now()) AS bigint)
 WHERE writer_id = :writer_id
RETURNING pg_advisory_xact_lock(:space, :tenant);

-- name: committed_change
-- FOR UPDATE: a transaction that is still under way on a connection that was lost comes to its end first.
SELECT change
  FROM installation_writer
 WHERE writer_id = :writer_id
   FOR UPDATE;
