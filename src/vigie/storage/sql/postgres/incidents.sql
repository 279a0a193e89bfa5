-- name: find_incidents
-- Several incidents that are asked for at once, each by its number.
SELECT incident_id, document, alerts_at, spans, last_update_at
  FROM incident
 WHERE tenant_id = :tenant_id
   AND incident_id = any(:incident_ids);
