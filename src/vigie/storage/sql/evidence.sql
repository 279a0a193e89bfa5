-- name: incidents_with_evidence
-- The next incidents in which a value is, the greatest numbers first.
SELECT incident_id
  FROM evidence_incident
 WHERE tenant_id = :tenant_id
   AND evidence_id = :evidence_id
   AND incident_id <= :last
 ORDER BY incident_id DESC
 LIMIT :count;

-- name: incidents_to_project
-- The next incidents by their numbers: those that are there, and those that are gone and have evidence still.
SELECT incident_id
  FROM (SELECT incident_id
          FROM incident
         WHERE tenant_id = :tenant_id
           AND incident_id > :after
         ORDER BY incident_id
         LIMIT :count) AS there
 UNION
SELECT incident_id
  FROM (SELECT incident_id
          FROM evidence_of_incident
         WHERE tenant_id = :tenant_id
           AND incident_id > :after
         ORDER BY incident_id
         LIMIT :count) AS projected
 ORDER BY incident_id
 LIMIT :count;

-- name: evidence_of_incident
SELECT evidence
  FROM evidence_of_incident
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: put_evidence_of_incident!
INSERT INTO evidence_of_incident (tenant_id, incident_id, evidence)
VALUES (:tenant_id, :incident_id, :evidence)
    ON CONFLICT (tenant_id, incident_id) DO UPDATE
   SET evidence = excluded.evidence;

-- name: remove_evidence_of_incident!
DELETE FROM evidence_of_incident
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;

-- name: add_evidence!
INSERT INTO evidence (tenant_id, evidence_id, kind, value)
VALUES (:tenant_id, :evidence_id, :kind, :value)
    ON CONFLICT (tenant_id, evidence_id) DO NOTHING;

-- name: add_incident_with_evidence!
INSERT INTO evidence_incident (tenant_id, evidence_id, incident_id)
VALUES (:tenant_id, :evidence_id, :incident_id)
    ON CONFLICT (tenant_id, evidence_id, incident_id) DO NOTHING;

-- name: remove_incident_with_evidence!
DELETE FROM evidence_incident
 WHERE tenant_id = :tenant_id
   AND evidence_id = :evidence_id
   AND incident_id = :incident_id;

-- name: remove_unseen_evidence!
-- A value goes with the last incident that has it.
DELETE FROM evidence
 WHERE tenant_id = :tenant_id
   AND evidence_id = :evidence_id
   AND NOT EXISTS (SELECT 1
                     FROM evidence_incident
                    WHERE tenant_id = :tenant_id
                      AND evidence_id = :evidence_id);
