-- Every change of an incident: nothing here is ever updated, and it outlives the incident.
CREATE TABLE history (
    tenant_id   INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    incident_id INTEGER NOT NULL,
    entry       INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    action      TEXT NOT NULL,
    actor       TEXT NOT NULL,
    request_id  TEXT NOT NULL,
    changes     TEXT NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, entry)
) STRICT, WITHOUT ROWID;

-- Updates that named themselves, so that the same one sent again is done once.
CREATE TABLE request_done (
    tenant_id   INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    fingerprint BLOB NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, fingerprint)
) STRICT, WITHOUT ROWID;

CREATE INDEX request_done_by_time ON request_done (tenant_id, at);

-- The last update that a reader may have seen of a tenant, also when that incident is gone or was put back to
-- an older time. Updates come after it.
CREATE TABLE latest_update (
    tenant_id INTEGER NOT NULL PRIMARY KEY REFERENCES tenant ON DELETE CASCADE,
    at        INTEGER NOT NULL
) STRICT;

INSERT INTO latest_update (tenant_id, at)
SELECT tenant_id, max(last_update_at)
  FROM incident
 GROUP BY tenant_id;
