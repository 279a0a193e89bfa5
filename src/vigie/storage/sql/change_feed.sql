-- name: latest_change
-- The last change of a tenant, the oldest one that is kept, and the last update that a reader may have seen.
SELECT number, first_number, last_update_at
  FROM latest_change
 WHERE tenant_id = :tenant_id;

-- name: count_changes
-- The number of the last of `count` new changes. Neither number nor moment ever goes back.
INSERT INTO latest_change (tenant_id, number, first_number, last_update_at)
VALUES (:tenant_id, :count, 1, :last_update_at)
    ON CONFLICT (tenant_id) DO UPDATE
   SET number = latest_change.number + :count,
       last_update_at = CASE WHEN latest_change.last_update_at < :last_update_at
                             THEN :last_update_at
                             ELSE latest_change.last_update_at END
RETURNING number;

-- name: add_change!
INSERT INTO change (tenant_id, number, at, kind, incident_id, alert_id, actor, request_id,
                    visible_before, visible_after, alert_visible, is_of_head)
VALUES (:tenant_id, :number, :at, :kind, :incident_id, :alert_id, :actor, :request_id,
        :visible_before, :visible_after, :alert_visible, :is_of_head);

-- name: changes_after
SELECT number, at, kind, incident_id, alert_id, actor, request_id, visible_before, visible_after, alert_visible,
       is_of_head
  FROM change
 WHERE tenant_id = :tenant_id
   AND number > :after
 ORDER BY number
 LIMIT :count;

-- name: some_changes_before
-- The last of some of the oldest changes, which are all from before a moment.
SELECT max(number)
  FROM (SELECT number, at
          FROM change
         WHERE tenant_id = :tenant_id
         ORDER BY number
         LIMIT :count) AS oldest
 WHERE at < :before;

-- name: remove_changes!
DELETE FROM change
 WHERE tenant_id = :tenant_id
   AND number <= :number;

-- name: keep_changes_after!
UPDATE latest_change
   SET first_number = :number + 1
 WHERE tenant_id = :tenant_id
   AND first_number <= :number;

-- name: consumer_position
SELECT position
  FROM consumer
 WHERE tenant_id = :tenant_id
   AND name = :name;

-- name: add_consumer!
INSERT INTO consumer (tenant_id, name, position)
VALUES (:tenant_id, :name, :position)
    ON CONFLICT (tenant_id, name) DO NOTHING;

-- name: advance_consumer!
-- Touches no row when another process was there first.
UPDATE consumer
   SET position = :position
 WHERE tenant_id = :tenant_id
   AND name = :name
   AND position = :before;

-- name: remove_consumer!
DELETE FROM consumer
 WHERE tenant_id = :tenant_id
   AND name = :name;
