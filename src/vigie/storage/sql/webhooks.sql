-- name: add_webhook!
INSERT INTO webhook (tenant_id, webhook_id, name, url, kinds, severities, allows_private, secret, created_at,
                     position, state, failures, failing_since, next_try_at, last_delivery_at, last_error, missed_at,
                     lease, leased_until)
VALUES (:tenant_id, :webhook_id, :name, :url, :kinds, :severities, :allows_private, :secret, :created_at,
        :position, 'active', 0, NULL, 0, NULL, '', NULL,
        '', 0);

-- name: webhooks
SELECT webhook_id, name, url, kinds, severities, allows_private, secret, created_at,
       position, state, failures, failing_since, next_try_at, last_delivery_at, last_error, missed_at
  FROM webhook
 WHERE tenant_id = :tenant_id
 ORDER BY name;

-- name: leased_webhook
-- The webhook that a server has the turn of.
SELECT guid,
       webhook_id, webhook.name, url, kinds, severities, allows_private, secret, created_at,
       position, state, failures, failing_since, next_try_at, last_delivery_at, last_error, missed_at
  FROM webhook
  JOIN tenant USING (tenant_id)
 WHERE tenant_id = :tenant_id
   AND webhook_id = :webhook_id
   AND lease = :lease;

-- name: remove_webhook!
DELETE FROM webhook
 WHERE tenant_id = :tenant_id
   AND webhook_id = :webhook_id;

-- name: resume_webhook!
-- Also takes the turn from the server that delivers now: what it has seen of the webhook has changed.
UPDATE webhook
   SET position = :position,
       state = 'active',
       failures = 0,
       failing_since = NULL,
       next_try_at = 0,
       lease = '',
       leased_until = 0
 WHERE tenant_id = :tenant_id
   AND webhook_id = :webhook_id;

-- name: due_webhooks
-- Those of every tenant with changes to deliver, and no server that delivers them; those that have waited longest come first.
SELECT tenant_id, webhook_id
  FROM tenant
  JOIN webhook USING (tenant_id)
  JOIN latest_change USING (tenant_id)
 WHERE state = 'active'
   AND position < number
   AND next_try_at <= :now
   AND (leased_until <= :now OR leased_until > :latest_until)
 ORDER BY next_try_at, tenant_id, webhook_id
 LIMIT :count;

-- name: lease_webhook!
-- Touches no row when another server was there first.
UPDATE webhook
   SET lease = :lease,
       leased_until = :until
 WHERE tenant_id = :tenant_id
   AND webhook_id = :webhook_id
   AND state = 'active'
   AND next_try_at <= :now
   AND (leased_until <= :now OR leased_until > :latest_until);

-- name: save_webhook_progress!
-- Touches no row when the turn is lost, or the webhook removed.
UPDATE webhook
   SET position = :position,
       state = :state,
       failures = :failures,
       failing_since = :failing_since,
       next_try_at = :next_try_at,
       last_delivery_at = :last_delivery_at,
       last_error = :last_error,
       missed_at = :missed_at,
       leased_until = :until
 WHERE tenant_id = :tenant_id
   AND webhook_id = :webhook_id
   AND lease = :lease;

-- name: release_webhook!
UPDATE webhook
   SET lease = '',
       leased_until = 0
 WHERE tenant_id = :tenant_id
   AND webhook_id = :webhook_id
   AND lease = :lease;

-- name: incident_severity
SELECT severity
  FROM incident
 WHERE tenant_id = :tenant_id
   AND incident_id = :incident_id;
