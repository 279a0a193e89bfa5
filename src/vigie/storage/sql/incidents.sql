-- name: find_incident
-- One incident with what decides who may see it; whether this caller may is decided from the spans.
SELECT document, alerts_at, spans, last_update_at
  FROM incident
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: newest_incident
-- One row of the tenant that was added last: whether incidents can be read at all.
SELECT last_update_at
  FROM incident
 WHERE tenant_id = (SELECT max(tenant_id) FROM tenant)
 ORDER BY incident_id DESC
 LIMIT 1;

-- name: put_incident!
-- One incident per number: writing it again replaces it.
INSERT INTO incident (tenant_id, incident_id, origin, status, severity, assigned_to, created_at, last_update_at,
                      alerts_at, spans, document, redirect_incident_id)
VALUES (:tenant_id, :incident_id, :origin, :status, :severity, :assigned_to, :created_at, :last_update_at,
        :alerts_at, :spans, :document, :redirect_incident_id)
    ON CONFLICT (tenant_id, incident_id) DO UPDATE
   SET status = excluded.status,
       severity = excluded.severity,
       assigned_to = excluded.assigned_to,
       created_at = excluded.created_at,
       last_update_at = excluded.last_update_at,
       alerts_at = excluded.alerts_at,
       spans = excluded.spans,
       document = excluded.document,
       redirect_incident_id = excluded.redirect_incident_id,
       origin = excluded.origin,
       head = NULL;

-- name: update_incident!
-- What an update may touch; the alerts stay. The answer is there from now on, if it was not.
UPDATE incident
   SET status = :status,
       assigned_to = :assigned_to,
       last_update_at = :last_update_at,
       alerts_at = :alerts_at,
       spans = :spans,
       document = :document,
       head = NULL
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: end_of_redirects
-- Where the redirects of a stub end, unless they lead back to it: what is visible there.
WITH RECURSIVE redirect (incident_id, target, spans) AS (
    SELECT incident_id, redirect_incident_id, spans
      FROM incident
     WHERE tenant_id = :tenant_id
       AND incident_id = :target
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

-- name: stub_leading_to
-- Whether any stub leads to an incident at once: of almost none, and cheaper to ask than all that do.
SELECT 1
  FROM incident
 WHERE tenant_id = :tenant_id
   AND redirect_incident_id = :incident_id
 LIMIT 1;

-- name: stubs_leading_to
-- All stubs that lead to an incident, over others or at once.
WITH RECURSIVE stub (incident_id) AS (
    SELECT incident_id
      FROM incident
     WHERE tenant_id = :tenant_id
       AND redirect_incident_id = :incident_id
     UNION
    SELECT incident.incident_id
      FROM stub
      JOIN incident
        ON incident.tenant_id = :tenant_id
       AND incident.redirect_incident_id = stub.incident_id
)
SELECT incident.incident_id, incident.status, incident.assigned_to, incident.created_at, incident.last_update_at,
       incident.spans
  FROM stub
  JOIN incident
    ON incident.tenant_id = :tenant_id
   AND incident.incident_id = stub.incident_id
 WHERE incident.incident_id <> :incident_id;

-- name: put_spans!
-- What an incident is visible by has changed, and nothing else of it.
UPDATE incident
   SET spans = :spans
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: has_incidents
SELECT 1
  FROM incident
 WHERE tenant_id = :tenant_id
 LIMIT 1;

-- name: add_listing!
-- What lists read of an incident. Nothing is added while its set of labels has no number.
INSERT INTO incident_listing (tenant_id, created_at, incident_id, last_update_at, status, assigned_to, visibility_id)
SELECT :tenant_id, :created_at, :incident_id, :last_update_at, :status, :assigned_to, visibility_id
  FROM visibility
 WHERE tenant_id = :tenant_id
   AND labels = :labels;

-- name: move_listing!
-- What an update may touch.
UPDATE incident_listing
   SET last_update_at = :last_update_at,
       status = :status,
       assigned_to = :assigned_to
 WHERE tenant_id = :tenant_id
   AND created_at = (SELECT created_at
                       FROM incident
                      WHERE tenant_id = :tenant_id
                        AND incident_id = :incident_id)
   AND incident_id = :incident_id;

-- name: remove_listing!
-- Before the incident itself is removed or replaced: it says where its row is.
DELETE FROM incident_listing
 WHERE tenant_id = :tenant_id
   AND created_at = (SELECT created_at
                       FROM incident
                      WHERE tenant_id = :tenant_id
                        AND incident_id = :incident_id)
   AND incident_id = :incident_id;

-- name: add_visibility!
-- A number for a set of labels that has none.
INSERT INTO visibility (tenant_id, visibility_id, labels)
SELECT :tenant_id, coalesce(max(visibility_id), 0) + 1, :labels
  FROM visibility
 WHERE tenant_id = :tenant_id;

-- name: add_visibility_label!
INSERT INTO visibility_label (tenant_id, label, visibility_id)
SELECT :tenant_id, :label, visibility_id
  FROM visibility
 WHERE tenant_id = :tenant_id
   AND labels = :labels;

-- name: remove_unused_visibility_labels!
-- The labels of sets that no incident has any more. The sets themselves go after them.
DELETE FROM visibility_label
 WHERE tenant_id = :tenant_id
   AND NOT EXISTS (SELECT 1
                     FROM incident_listing
                    WHERE incident_listing.tenant_id = visibility_label.tenant_id
                      AND incident_listing.visibility_id = visibility_label.visibility_id);

-- name: remove_unused_visibility!
DELETE FROM visibility
 WHERE tenant_id = :tenant_id
   AND NOT EXISTS (SELECT 1
                     FROM incident_listing
                    WHERE incident_listing.tenant_id = visibility.tenant_id
                      AND incident_listing.visibility_id = visibility.visibility_id);

-- name: remove_incident!
DELETE FROM incident
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: incidents_after
-- The next incidents in the order of their numbers, for an export.
SELECT incident_id, document
  FROM incident
 WHERE tenant_id = :tenant_id
   AND incident_id > :after
 ORDER BY incident_id
 LIMIT :count;

-- name: some_incidents_before
-- Some of the incidents whose last update is before a moment: a few at a time, so that others can write between.
SELECT incident_id
  FROM incident_listing
 WHERE tenant_id = :tenant_id
   AND status IN ('Active', 'InProgress', 'Redirected', 'Resolved')
   AND last_update_at < :before
 LIMIT :count;

-- name: add_history!
-- The next entry of an incident's history. It outlives the incident.
INSERT INTO history (tenant_id, incident_id, entry, at, action, actor, request_id, changes)
VALUES (:tenant_id, :incident_id,
        (SELECT coalesce(max(entry), 0) + 1
           FROM history
          WHERE tenant_id = :tenant_id
            AND incident_id = :incident_id),
        :at, :action, :actor, :request_id, :changes);

-- name: history
-- All entries of one incident.
SELECT incident_id, entry, at, action, actor, request_id, changes
  FROM history
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id
 ORDER BY entry;

-- name: history_after
-- The next entries of all incidents, those included that are gone, for an export.
SELECT incident_id, entry, at, action, actor, request_id, changes
  FROM history
 WHERE tenant_id = :tenant_id
   AND (incident_id, entry) > (:incident_id, :entry)
 ORDER BY incident_id, entry
 LIMIT :count;

-- name: request_is_done
SELECT 1
  FROM request_done
 WHERE tenant_id = :tenant_id
   AND fingerprint = :fingerprint
   AND at > :since;

-- name: add_request_done!
INSERT INTO request_done (tenant_id, fingerprint, at)
VALUES (:tenant_id, :fingerprint, :at)
    ON CONFLICT (tenant_id, fingerprint) DO UPDATE
   SET at = excluded.at;

-- name: forget_requests_done!
-- Requests that nobody will repeat any more: a few at a time, as each new one forgets some.
DELETE FROM request_done
 WHERE tenant_id = :tenant_id
   AND fingerprint IN (SELECT fingerprint
                         FROM request_done
                        WHERE tenant_id = :tenant_id
                          AND at <= :since
                        ORDER BY at
                        LIMIT :count);
