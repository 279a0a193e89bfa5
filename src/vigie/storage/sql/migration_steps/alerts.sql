-- name: tenant_behind
-- A tenant with incidents whose alerts have no rows yet, the last incident whose alerts have, how many incidents are
-- done in all tenants, and how many there are.
SELECT tenant_id, after, (SELECT CAST(sum(done) AS bigint) FROM alerts_to_add),
       (SELECT CAST(sum(total) AS bigint) FROM alerts_to_add)
  FROM alerts_to_add
 WHERE NOT is_done
 ORDER BY tenant_id
 LIMIT 1;

-- name: incidents_behind
SELECT incident_id, document, alerts_at, spans
  FROM incident
 WHERE tenant_id = :tenant_id
   AND incident_id > :after
 ORDER BY incident_id
 LIMIT :count;

-- name: add_alert!
INSERT INTO alert (tenant_id, incident_id, place, alert_id, copy, origin, created_at, last_update_at,
                   first_activity_at, last_activity_at, resolved_at, status, severity, classification, determination,
                   service_source, assigned_to, provider_alert_id, own_groups, named_groups, native)
VALUES (:tenant_id, :incident_id, :place, :alert_id,
        (SELECT coalesce(max(copy) + 1, 0)
           FROM alert
          WHERE tenant_id = :tenant_id
            AND alert_id = :alert_id),
        'defender', :created_at, :last_update_at, :first_activity_at, :last_activity_at, :resolved_at, :status,
        :severity, :classification, :determination, :service_source, :assigned_to, :provider_alert_id, :own_groups,
        :named_groups, :native);

-- name: alerts_added!
UPDATE alerts_to_add
   SET after = :after,
       done = done + :count
 WHERE tenant_id = :tenant_id;

-- name: all_alerts_added!
UPDATE alerts_to_add
   SET is_done = true
 WHERE tenant_id = :tenant_id;

-- name: end_of_alerts_to_add
DROP TABLE alerts_to_add;
