-- name: add_alert!
-- An id that another alert has, in data of another system, gets the next copy number; a NULL gets 0.
INSERT INTO alert (tenant_id, incident_id, place, alert_id, copy, origin, created_at, last_update_at,
                   first_activity_at, last_activity_at, resolved_at, status, severity, classification, determination,
                   service_source, assigned_to, provider_alert_id, own_groups, named_groups, source_group, native)
VALUES (:tenant_id, :incident_id, :place, :alert_id,
        (SELECT coalesce(max(copy) + 1, 0)
           FROM alert
          WHERE tenant_id = :tenant_id
            AND alert_id = :alert_id),
        :origin, :created_at, :last_update_at, :first_activity_at, :last_activity_at, :resolved_at, :status, :severity,
        :classification, :determination, :service_source, :assigned_to, :provider_alert_id, :own_groups, :named_groups,
        :source_group, :native);

-- name: remove_alerts!
DELETE FROM alert
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: move_alert!
UPDATE alert
   SET incident_id = :target,
       place = :target_place,
       native = :native
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id
   AND place = :place;

-- name: parts_of_incident
-- What the answer of an incident is assembled from, in one view: its own keys, in the place -1, then its alerts. The
-- keys are NULL where the answer is there.
SELECT place, native AS text, source_group, NULL AS last_update_at
  FROM alert
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id
 UNION ALL
SELECT -1, head, NULL, last_update_at
  FROM incident
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id
 ORDER BY place;

-- name: last_place
SELECT max(place)
  FROM alert
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: homes_of_alert
-- The incidents in which the alerts of an id are, that of the first copy first.
SELECT incident_id
  FROM alert
 WHERE tenant_id = :tenant_id
   AND alert_id = :alert_id
 ORDER BY copy;

-- name: incident_with_head
-- What a change of an incident's alerts needs: its own keys are in the document, or, where that is absent, in `head`.
SELECT incident_id, document, alerts_at, spans, last_update_at, head, created_at, status, assigned_to
  FROM incident
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: leave_answer_absent!
-- The alerts of an incident have changed: its answer is assembled from now on, until it is put back.
UPDATE incident
   SET severity = :severity,
       last_update_at = :last_update_at,
       alerts_at = 0,
       spans = :spans,
       document = :document,
       head = :head
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: next_without_answer
SELECT incident_id
  FROM incident
 WHERE tenant_id = :tenant_id
   AND incident_id > :after
   AND head IS NOT NULL
 ORDER BY incident_id
 LIMIT 1;

-- name: put_answer!
UPDATE incident
   SET alerts_at = :alerts_at,
       spans = :spans,
       document = :document,
       head = NULL
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: stubs_of_merges
-- The stubs that lead to an incident at once, and were made here: those that were imported stay as they came.
SELECT incident.incident_id
  FROM incident
 WHERE tenant_id = :tenant_id
   AND redirect_incident_id = :incident_id
   AND EXISTS (SELECT 1
                 FROM history
                WHERE history.tenant_id = :tenant_id
                  AND history.incident_id = incident.incident_id
                  AND history.action = 'merge');
