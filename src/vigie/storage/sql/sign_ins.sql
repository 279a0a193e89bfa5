-- name: password
SELECT hash, changed_at
  FROM password
 WHERE tenant_id = :tenant_id
   AND object_id = :object_id;

-- name: put_password!
INSERT INTO password (tenant_id, object_id, hash, changed_at)
VALUES (:tenant_id, :object_id, :hash, :changed_at)
    ON CONFLICT (tenant_id, object_id) DO UPDATE
   SET hash = excluded.hash, changed_at = excluded.changed_at;

-- name: rehash_password!
-- The same password under a new hash: only if it has not been changed meanwhile.
UPDATE password
   SET hash = :hash
 WHERE tenant_id = :tenant_id
   AND object_id = :object_id
   AND hash = :old_hash;

-- name: remove_password!
DELETE FROM password
 WHERE tenant_id = :tenant_id
   AND object_id = :object_id;

-- name: password_attempt
SELECT count, locked_until
  FROM password_attempt
 WHERE tenant_id = :tenant_id
   AND name_sha256 = :name_sha256
   AND forgotten_at > :now;

-- name: put_password_attempt!
INSERT INTO password_attempt (tenant_id, name_sha256, count, locked_until, forgotten_at)
VALUES (:tenant_id, :name_sha256, :count, :locked_until, :forgotten_at)
    ON CONFLICT (tenant_id, name_sha256) DO UPDATE
   SET count = excluded.count, locked_until = excluded.locked_until, forgotten_at = excluded.forgotten_at;

-- name: remove_password_attempts!
DELETE FROM password_attempt
 WHERE tenant_id = :tenant_id
   AND name_sha256 = :name_sha256;

-- name: forget_password_attempts!
-- Attempts that do not count any more: a few at a time, as each new one forgets some.
DELETE FROM password_attempt
 WHERE tenant_id = :tenant_id
   AND name_sha256 IN (SELECT name_sha256
                         FROM password_attempt
                        WHERE tenant_id = :tenant_id
                          AND forgotten_at <= :now
                        ORDER BY forgotten_at
                        LIMIT :count);

-- name: add_authorization_code!
-- Touches no row when the application or the user has just been removed.
INSERT INTO authorization_code (tenant_id, sha256, client_id, object_id, resource, permissions, scope,
                                redirect_uri, code_challenge, nonce, signed_in_at, expires_at)
SELECT :tenant_id, :sha256, application.client_id, account.object_id, :resource, :permissions, :scope,
       :redirect_uri, :code_challenge, :nonce, :signed_in_at, :expires_at
  FROM application
  JOIN account
    ON account.tenant_id = application.tenant_id
   AND account.object_id = :object_id
 WHERE application.tenant_id = :tenant_id
   AND application.client_id = :client_id;

-- name: find_authorization_code
SELECT client_id, object_id, resource, permissions, scope, redirect_uri, code_challenge, nonce,
       signed_in_at, expires_at
  FROM authorization_code
 WHERE tenant_id = :tenant_id
   AND sha256 = :sha256;

-- name: remove_authorization_code!
DELETE FROM authorization_code
 WHERE tenant_id = :tenant_id
   AND sha256 = :sha256;

-- name: remove_authorization_codes_of_user!
DELETE FROM authorization_code
 WHERE tenant_id = :tenant_id
   AND object_id = :object_id;

-- name: forget_authorization_codes!
-- Codes that have expired: a few at a time, as each new one forgets some.
DELETE FROM authorization_code
 WHERE tenant_id = :tenant_id
   AND sha256 IN (SELECT sha256
                    FROM authorization_code
                   WHERE tenant_id = :tenant_id
                     AND expires_at <= :now
                   ORDER BY expires_at
                   LIMIT :count);

-- name: add_device_code!
-- Touches no row when the user code is taken, or the application has just been removed.
INSERT INTO device_code (tenant_id, sha256, user_code, client_id, resource, permissions, scope,
                         decision, object_id, signed_in_at, expires_at)
SELECT :tenant_id, :sha256, :user_code, application.client_id, :resource, :permissions, :scope,
       'pending', NULL, NULL, :expires_at
  FROM application
 WHERE application.tenant_id = :tenant_id
   AND application.client_id = :client_id
    ON CONFLICT DO NOTHING;

-- name: find_device_code
SELECT user_code, client_id, resource, permissions, scope, decision, object_id, signed_in_at, expires_at
  FROM device_code
 WHERE tenant_id = :tenant_id
   AND sha256 = :sha256;

-- name: find_device_code_by_user_code
SELECT user_code, client_id, resource, permissions, scope, decision, object_id, signed_in_at, expires_at
  FROM device_code
 WHERE tenant_id = :tenant_id
   AND user_code = :user_code;

-- name: find_tenant_of_user_code
-- The tenant whose application a device waits for: the person who types the code has not said in which one.
SELECT tenant_id, guid, name, domain
  FROM tenant
 WHERE tenant_id = (SELECT tenant_id
                      FROM device_code
                     WHERE user_code = :user_code);

-- name: decide_device_code!
-- Touches no row when it was decided before, or too late.
UPDATE device_code
   SET decision = :decision, object_id = :object_id, signed_in_at = :signed_in_at
 WHERE tenant_id = :tenant_id
   AND user_code = :user_code
   AND decision = 'pending'
   AND expires_at > :now;

-- name: remove_device_code!
DELETE FROM device_code
 WHERE tenant_id = :tenant_id
   AND sha256 = :sha256;

-- name: remove_device_codes_of_user!
DELETE FROM device_code
 WHERE tenant_id = :tenant_id
   AND object_id = :object_id;

-- name: forget_device_codes!
-- Device codes that have expired a while ago: a few at a time, as each new one forgets some.
DELETE FROM device_code
 WHERE tenant_id = :tenant_id
   AND sha256 IN (SELECT sha256
                    FROM device_code
                   WHERE tenant_id = :tenant_id
                     AND expires_at <= :now
                   ORDER BY expires_at
                   LIMIT :count);

-- name: add_token_family!
INSERT INTO token_family (tenant_id, family_id, code_sha256, client_id, object_id, resource, permissions, scope,
                          signed_in_at, ends_at, idle_until, kept_until, rotated_at,
                          handle_sha256, current_sha256, previous_sha256, successor_salt)
VALUES (:tenant_id, :family_id, :code_sha256, :client_id, :object_id, :resource, :permissions, :scope,
        :signed_in_at, :ends_at, :idle_until, :kept_until, :rotated_at,
        :handle_sha256, :current_sha256, :previous_sha256, :successor_salt);

-- name: find_token_family
-- By the handle in its refresh tokens.
SELECT family_id, client_id, object_id, resource, permissions, scope, signed_in_at, ends_at, idle_until,
       kept_until, rotated_at, handle_sha256, current_sha256, previous_sha256, successor_salt
  FROM token_family
 WHERE tenant_id = :tenant_id
   AND handle_sha256 = :handle_sha256;

-- name: has_token_family
SELECT 1
  FROM token_family
 WHERE tenant_id = :tenant_id
   AND family_id = :family_id;

-- name: has_token_family_of_code
SELECT 1
  FROM token_family
 WHERE tenant_id = :tenant_id
   AND code_sha256 = :code_sha256;

-- name: rotate_token_family!
UPDATE token_family
   SET idle_until = :idle_until, kept_until = :kept_until, rotated_at = :rotated_at,
       current_sha256 = :current_sha256, previous_sha256 = :previous_sha256, successor_salt = :successor_salt
 WHERE tenant_id = :tenant_id
   AND family_id = :family_id;

-- name: remove_token_family!
DELETE FROM token_family
 WHERE tenant_id = :tenant_id
   AND family_id = :family_id;

-- name: remove_token_family_of_code!
DELETE FROM token_family
 WHERE tenant_id = :tenant_id
   AND code_sha256 = :code_sha256;

-- name: remove_token_families!
-- The families of a user; with an application only those that it holds.
DELETE FROM token_family
 WHERE tenant_id = :tenant_id
   AND object_id = :object_id
   AND (client_id = :client_id OR :client_id IS NULL);

-- name: forget_token_families!
-- Families of which no token is good any more: a few at a time, as each new one forgets some.
DELETE FROM token_family
 WHERE tenant_id = :tenant_id
   AND family_id IN (SELECT family_id
                       FROM token_family
                      WHERE tenant_id = :tenant_id
                        AND kept_until <= :now
                      ORDER BY kept_until
                      LIMIT :count);
