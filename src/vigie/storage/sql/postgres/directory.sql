-- name: find_tenant
-- As in SQLite, only ASCII has another case; the locale of the database has no say.
SELECT tenant_id, guid, name, domain
  FROM tenant
 WHERE guid = lower(:reference COLLATE "C")
    OR domain = lower(:reference COLLATE "C")
    OR name = :reference
 ORDER BY guid = lower(:reference COLLATE "C") DESC, coalesce(domain = lower(:reference COLLATE "C"), false) DESC
 LIMIT 1;

-- name: find_application
SELECT client_id, name, permissions, delegated_permissions, is_public
  FROM application
 WHERE tenant_id = :tenant_id
   AND (client_id = lower(:reference COLLATE "C") OR name = :reference)
 ORDER BY client_id = lower(:reference COLLATE "C") DESC
 LIMIT 1;

-- name: find_tenant_of_application
SELECT tenant_id, guid, name, domain
  FROM tenant
 WHERE tenant_id = (SELECT tenant_id
                      FROM application
                     WHERE client_id = lower(:client_id COLLATE "C"));
