-- name: rows_behind
-- The next incidents of all tenants, without their documents.
SELECT tenant_id, incident_id, status, assigned_to, created_at, last_update_at, spans
  FROM incident
 WHERE (tenant_id, incident_id) > (:tenant_id, :incident_id)
 ORDER BY tenant_id, incident_id
 LIMIT :count;

-- name: stubs_behind
-- The next stubs of all tenants that name a target.
SELECT tenant_id, incident_id, status, assigned_to, created_at, last_update_at, spans
  FROM incident
 WHERE (tenant_id, incident_id) > (:tenant_id, :incident_id)
   AND redirect_incident_id IS NOT NULL
 ORDER BY tenant_id, incident_id
 LIMIT :count;

-- name: document
SELECT document
  FROM incident
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: set_target!
UPDATE incident
   SET redirect_incident_id = :target
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: spans_of_end
-- The spans of the incident where the redirects of a stub end, unless they lead back to it.
WITH RECURSIVE redirect (incident_id, target, spans) AS (
    SELECT incident_id, redirect_incident_id, spans
      FROM incident
     WHERE tenant_id = :tenant_id
       AND incident_id = (SELECT redirect_incident_id
                            FROM incident
                           WHERE tenant_id = :tenant_id
                             AND incident_id = :incident_id)
       AND incident_id <> :incident_id
     UNION
    SELECT incident.incident_id, incident.redirect_incident_id, incident.spans
      FROM redirect
      JOIN incident
        ON incident.tenant_id = :tenant_id
       AND incident.incident_id = redirect.target
     WHERE incident.incident_id <> :incident_id
)
SELECT spans
  FROM redirect
 WHERE target IS NULL;

-- name: set_spans!
UPDATE incident
   SET spans = :spans
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: remove_label!
DELETE FROM incident_sight
 WHERE tenant_id = :tenant_id
   AND label = :label
   AND last_update_at = :last_update_at
   AND incident_id = :incident_id;

-- name: add_label!
INSERT INTO incident_sight (tenant_id, label, last_update_at, incident_id, created_at, status, assigned_to)
VALUES (:tenant_id, :label, :last_update_at, :incident_id, :created_at, :status, :assigned_to);
