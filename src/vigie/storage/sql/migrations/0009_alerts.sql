-- A row for each alert, in the form in which it came, its blobs last. `copy` tells apart what data of another system
-- calls by one id: 0 for the first. `place` is its place among the alerts of the incident.
-- The step of this name in `storage/migration_steps/` fills the table, some incidents at a time.
CREATE TABLE alert (
    alert_key         INTEGER NOT NULL PRIMARY KEY,
    tenant_id         INTEGER NOT NULL REFERENCES tenant,
    incident_id       INTEGER NOT NULL,
    place             INTEGER NOT NULL,
    alert_id          TEXT,
    copy              INTEGER NOT NULL,
    origin            TEXT NOT NULL,
    created_at        INTEGER,
    last_update_at    INTEGER,
    first_activity_at INTEGER,
    last_activity_at  INTEGER,
    resolved_at       INTEGER,
    status            TEXT,
    severity          TEXT,
    classification    TEXT,
    determination     TEXT,
    service_source    TEXT,
    assigned_to       TEXT,
    provider_alert_id TEXT,
    own_groups        BLOB,
    named_groups      BLOB,
    source_group      BLOB,
    native            BLOB NOT NULL,
    UNIQUE (tenant_id, incident_id, place),
    UNIQUE (tenant_id, alert_id, copy)
) STRICT;

-- The materialised answer may be absent: then `document` is empty, `head` has the incident's own keys, and the answer
-- is assembled from the rows. While it is there, it has the head, and `head` is NULL.
ALTER TABLE incident ADD COLUMN origin TEXT NOT NULL DEFAULT 'defender';
ALTER TABLE incident ADD COLUMN head BLOB;

CREATE INDEX incident_without_answer
    ON incident (tenant_id, incident_id)
    WHERE head IS NOT NULL;

-- How far that step has come in each tenant: the last incident whose alerts have their rows. Its end drops the table.
CREATE TABLE alerts_to_add (
    tenant_id INTEGER NOT NULL PRIMARY KEY REFERENCES tenant ON DELETE CASCADE,
    after     INTEGER NOT NULL,
    done      INTEGER NOT NULL,
    total     INTEGER NOT NULL,
    is_done   INTEGER NOT NULL
) STRICT;

INSERT INTO alerts_to_add (tenant_id, after, done, total, is_done)
SELECT tenant_id, 0, 0, count(*), 0
  FROM incident
 GROUP BY tenant_id;
