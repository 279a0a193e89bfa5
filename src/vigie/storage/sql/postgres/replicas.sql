-- name: current_position
-- The timeline of the primary, and how far its log goes on it.
SELECT cast(cast('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) AS bit(32)) AS bigint),
       cast(pg_current_wal_insert_lsn() - '0/0' AS bigint);

-- name: write_heartbeat
-- Not durable at once, and nobody waits for that: a heartbeat that is lost is one that no replica has.
UPDATE installation_writer
   SET change = :change,
       at = cast(extract(epoch FROM now()) AS bigint)
 WHERE writer_id = :writer_id
RETURNING cast(cast('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) AS bit(32)) AS bigint),
          set_config('synchronous_commit', 'off', true);

-- name: find_heartbeat
-- The newest heartbeat that a replica has, how far it has come since, and which server it is; no row without one.
SELECT change,
       pg_is_in_recovery(),
       cast(pg_last_wal_replay_lsn() - '0/0' AS bigint),
       concat_ws(' ', date_part('epoch', pg_postmaster_start_time()), inet_server_addr(), inet_server_port())
  FROM installation_writer
 WHERE writer_id = :writer_id;

-- name: replayed
-- How far a replica has come, NULL for a server that is none, and which server it is: two machines do not start at
-- the same microsecond, and one that was copied while it ran has another address.
SELECT CASE WHEN pg_is_in_recovery() THEN cast(pg_last_wal_replay_lsn() - '0/0' AS bigint) END,
       concat_ws(' ', date_part('epoch', pg_postmaster_start_time()), inet_server_addr(), inet_server_port());
