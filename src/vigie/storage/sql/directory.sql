-- name: installation_value
SELECT value
  FROM installation
 WHERE name = :name;

-- name: put_installation_value!
INSERT INTO installation (name, value)
VALUES (:name, :value)
    ON CONFLICT (name) DO NOTHING;

-- name: touch_directory!
-- Tells running servers that something in the directory changed.
UPDATE installation
   SET value = cast(cast(value AS integer) + 1 AS text)
 WHERE name = 'directory_version';

-- name: tenants
SELECT tenant_id, guid, name, domain
  FROM tenant
 ORDER BY name;

-- name: find_tenant
-- A tenant by its id, its domain or its name.
SELECT tenant_id, guid, name, domain
  FROM tenant
 WHERE guid = lower(:reference)
    OR domain = lower(:reference)
    OR name = :reference
 ORDER BY guid = lower(:reference) DESC, domain = lower(:reference) DESC
 LIMIT 1;

-- name: add_tenant!
INSERT INTO tenant (guid, name, domain)
VALUES (:guid, :name, :domain);

-- name: remove_tenant!
DELETE FROM tenant
 WHERE tenant_id = :tenant_id;

-- name: applications
SELECT client_id, name, permissions, delegated_permissions, is_public
  FROM application
 WHERE tenant_id = :tenant_id
 ORDER BY name;

-- name: find_application
-- An application of the tenant by its client id or its name.
SELECT client_id, name, permissions, delegated_permissions, is_public
  FROM application
 WHERE tenant_id = :tenant_id
   AND (client_id = lower(:reference) OR name = :reference)
 ORDER BY client_id = lower(:reference) DESC
 LIMIT 1;

-- name: add_application!
INSERT INTO application (tenant_id, client_id, name, permissions, delegated_permissions, is_public)
VALUES (:tenant_id, :client_id, :name, :permissions, :delegated_permissions, :is_public);

-- name: update_application!
UPDATE application
   SET permissions = :permissions, delegated_permissions = :delegated_permissions, is_public = :is_public
 WHERE tenant_id = :tenant_id
   AND client_id = :client_id;

-- name: find_tenant_of_application
-- The tenant that an application belongs to: a request to `common` has not said which.
SELECT tenant_id, guid, name, domain
  FROM tenant
 WHERE tenant_id = (SELECT tenant_id
                      FROM application
                     WHERE client_id = lower(:client_id));

-- name: redirect_uris
SELECT uri
  FROM redirect_uri
 WHERE tenant_id = :tenant_id
   AND client_id = :client_id
 ORDER BY uri;

-- name: add_redirect_uri!
INSERT INTO redirect_uri (tenant_id, client_id, uri)
VALUES (:tenant_id, :client_id, :uri)
    ON CONFLICT DO NOTHING;

-- name: remove_redirect_uris!
DELETE FROM redirect_uri
 WHERE tenant_id = :tenant_id
   AND client_id = :client_id;

-- name: remove_application!
DELETE FROM application
 WHERE tenant_id = :tenant_id
   AND client_id = :client_id;

-- name: client_secrets
SELECT sha256, expires_at
  FROM client_secret
 WHERE tenant_id = :tenant_id
   AND client_id = :client_id;

-- name: add_client_secret!
INSERT INTO client_secret (tenant_id, client_id, sha256, expires_at)
VALUES (:tenant_id, :client_id, :sha256, NULL);

-- name: expire_client_secrets!
-- The current secret gets an end; one that already has an earlier end keeps it.
UPDATE client_secret
   SET expires_at = :expires_at
 WHERE tenant_id = :tenant_id
   AND client_id = :client_id
   AND (expires_at IS NULL OR expires_at > :expires_at);

-- name: application_certificates
SELECT sha256, sha1, certificate, valid_from, expires_at
  FROM application_certificate
 WHERE tenant_id = :tenant_id
   AND client_id = :client_id
 ORDER BY expires_at, sha256;

-- name: add_application_certificate!
INSERT INTO application_certificate (tenant_id, client_id, sha256, sha1, certificate, valid_from, expires_at)
VALUES (:tenant_id, :client_id, :sha256, :sha1, :certificate, :valid_from, :expires_at);

-- name: remove_application_certificate!
DELETE FROM application_certificate
 WHERE tenant_id = :tenant_id
   AND client_id = :client_id
   AND sha256 = :sha256;

-- name: add_assertion_seen!
-- Touches no row when it was seen before.
INSERT INTO assertion_seen (tenant_id, fingerprint, expires_at)
VALUES (:tenant_id, :fingerprint, :expires_at)
    ON CONFLICT DO NOTHING;

-- name: assertion_seen
SELECT 1
  FROM assertion_seen
 WHERE tenant_id = :tenant_id
   AND fingerprint = :fingerprint;

-- name: forget_assertions_seen!
-- Assertions that have expired: a few at a time, as each new one forgets some.
DELETE FROM assertion_seen
 WHERE tenant_id = :tenant_id
   AND fingerprint IN (SELECT fingerprint
                         FROM assertion_seen
                        WHERE tenant_id = :tenant_id
                          AND expires_at <= :now
                        ORDER BY expires_at
                        LIMIT :count);

-- name: roles
SELECT name, permissions
  FROM role
 WHERE tenant_id = :tenant_id
 ORDER BY name;

-- name: add_role!
INSERT INTO role (tenant_id, name, permissions)
VALUES (:tenant_id, :name, :permissions);

-- name: remove_role!
DELETE FROM role
 WHERE tenant_id = :tenant_id
   AND name = :name;

-- name: users
SELECT object_id, upn
  FROM account
 WHERE tenant_id = :tenant_id
 ORDER BY upn_folded;

-- name: find_user
SELECT object_id, upn
  FROM account
 WHERE tenant_id = :tenant_id
   AND object_id = :object_id;

-- name: find_user_by_upn
-- The user of the tenant whose UPN folds to the same; it may still be another UPN.
SELECT object_id, upn
  FROM account
 WHERE tenant_id = :tenant_id
   AND upn_folded = :folded;

-- name: add_user!
INSERT INTO account (tenant_id, object_id, upn, upn_folded)
VALUES (:tenant_id, :object_id, :upn, :folded);

-- name: remove_user!
DELETE FROM account
 WHERE tenant_id = :tenant_id
   AND object_id = :object_id;

-- name: add_assignment!
INSERT INTO assignment (tenant_id, assignment_id, object_id, role, whole_tenant)
VALUES (:tenant_id, :assignment_id, :object_id, :role, :whole_tenant);

-- name: add_assignment_device_group!
INSERT INTO assignment_device_group (tenant_id, assignment_id, group_id)
VALUES (:tenant_id, :assignment_id, :group_id)
    ON CONFLICT DO NOTHING;

-- name: assignments
-- A user's assignments, one row for each device group of each; no group is a row with NULLs.
SELECT assignment.assignment_id, assignment.role, assignment.whole_tenant,
       device_group.number, device_group.name
  FROM assignment
  LEFT JOIN assignment_device_group
    ON assignment_device_group.tenant_id = assignment.tenant_id
   AND assignment_device_group.assignment_id = assignment.assignment_id
  LEFT JOIN device_group
    ON device_group.tenant_id = assignment_device_group.tenant_id
   AND device_group.group_id = assignment_device_group.group_id
 WHERE assignment.tenant_id = :tenant_id
   AND assignment.object_id = :object_id
 ORDER BY assignment.role, assignment.assignment_id, device_group.name NULLS FIRST;

-- name: remove_assignments!
-- The user's assignments; with a role only those of that role.
DELETE FROM assignment
 WHERE tenant_id = :tenant_id
   AND object_id = :object_id
   AND (role = :role OR :role IS NULL);

-- name: remove_assignments_of_role!
DELETE FROM assignment
 WHERE tenant_id = :tenant_id
   AND role = :role;

-- name: device_groups
SELECT group_id, number, name
  FROM device_group
 WHERE tenant_id = :tenant_id
 ORDER BY name, number NULLS FIRST;

-- name: add_device_group!
INSERT INTO device_group (tenant_id, group_id, number, name)
SELECT :tenant_id, coalesce(max(group_id), 0) + 1, :number, :name
  FROM device_group
 WHERE tenant_id = :tenant_id;

-- name: complete_device_group!
-- A group known by name only learns its number, one known by number only its name.
UPDATE device_group
   SET number = :number,
       name = :name
 WHERE tenant_id = :tenant_id
   AND group_id = :group_id;

-- name: remove_device_group!
DELETE FROM device_group
 WHERE tenant_id = :tenant_id
   AND group_id = :group_id;
