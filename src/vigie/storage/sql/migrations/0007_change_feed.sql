-- The change feed: every change of an incident or an alert, in the order in which they were committed.
-- `visible_before` and `visible_after` are the labels of the incident before and after, NULL where it was or is not
-- there; `alert_visible` are those of the alert, NULL where the change is of no single alert.
-- `is_of_head` is 1 where the alerts are as they were.
CREATE TABLE change (
    tenant_id      INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    number         INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    kind           TEXT NOT NULL,
    incident_id    INTEGER NOT NULL,
    alert_id       TEXT,
    actor          TEXT NOT NULL,
    request_id     TEXT NOT NULL,
    visible_before BLOB,
    visible_after  BLOB,
    alert_visible  BLOB,
    is_of_head     INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, number)
) STRICT, WITHOUT ROWID;

-- The last change of a tenant: its number, which is never given again, and the last update that a reader may have
-- seen. Updates come after it. `first_number` is the oldest change that is kept.
CREATE TABLE latest_change (
    tenant_id      INTEGER NOT NULL PRIMARY KEY REFERENCES tenant ON DELETE CASCADE,
    number         INTEGER NOT NULL,
    first_number   INTEGER NOT NULL,
    last_update_at INTEGER NOT NULL
) STRICT;

INSERT INTO latest_change (tenant_id, number, first_number, last_update_at)
SELECT tenant_id, 0, 1, at
  FROM latest_update;

DROP TABLE latest_update;

-- How far each consumer of the feed has come.
CREATE TABLE consumer (
    tenant_id INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    name      TEXT NOT NULL,
    position  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;
