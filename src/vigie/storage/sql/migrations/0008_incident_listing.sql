-- One row for each incident takes the place of one for each label of each: an update changes it in place, and moves
-- it in three indexes instead of twelve. A distinct set of labels is stored once, and incidents refer to its number.
CREATE TABLE visibility (
    tenant_id     INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    visibility_id INTEGER NOT NULL,
    labels        TEXT NOT NULL,
    PRIMARY KEY (tenant_id, visibility_id),
    UNIQUE (tenant_id, labels)
) STRICT, WITHOUT ROWID;

CREATE TABLE visibility_label (
    tenant_id     INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    label         TEXT NOT NULL,
    visibility_id INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, label, visibility_id)
) STRICT, WITHOUT ROWID;

-- All that lists read before they have found their page. The key holds nothing that an update changes.
CREATE TABLE incident_listing (
    tenant_id      INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    incident_id    INTEGER NOT NULL,
    last_update_at INTEGER NOT NULL,
    status         TEXT NOT NULL,
    assigned_to    TEXT,
    visibility_id  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, created_at DESC, incident_id)
) STRICT, WITHOUT ROWID;

-- The labels of each incident in the form of `storage/visibility.py`: sorted, and a line each. The empty label alone
-- would come out as NULL.
CREATE TEMP TABLE labels_of_incident AS
SELECT DISTINCT
       tenant_id,
       incident_id,
       coalesce(group_concat(replace(replace(label, '\', '\\'), char(10), '\n'), char(10))
                    OVER (PARTITION BY tenant_id, incident_id
                              ORDER BY label
                               ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING),
                '') AS labels
  FROM incident_visibility
 WHERE label <> '*';

CREATE TEMP TABLE example AS
SELECT tenant_id, labels, min(incident_id) AS incident_id
  FROM labels_of_incident
 GROUP BY tenant_id, labels;

INSERT INTO visibility (tenant_id, visibility_id, labels)
SELECT tenant_id, row_number() OVER (PARTITION BY tenant_id ORDER BY labels), labels
  FROM example;

CREATE UNIQUE INDEX temp.example_by_incident ON example (tenant_id, incident_id);
CREATE UNIQUE INDEX temp.labels_by_incident ON labels_of_incident (tenant_id, incident_id);

INSERT INTO visibility_label (tenant_id, label, visibility_id)
SELECT tenant_id, label, visibility_id
  FROM incident_visibility
  JOIN example USING (tenant_id, incident_id)
  JOIN visibility USING (tenant_id, labels)
 WHERE label <> '*';

INSERT INTO incident_listing (tenant_id, created_at, incident_id, last_update_at, status, assigned_to, visibility_id)
SELECT tenant_id, created_at, incident_id, last_update_at, status, assigned_to, visibility_id
  FROM incident_visibility
  JOIN labels_of_incident USING (tenant_id, incident_id)
  JOIN visibility USING (tenant_id, labels)
 WHERE label = '*'
 ORDER BY tenant_id, created_at DESC, incident_id;

DROP TABLE temp.example;
DROP TABLE temp.labels_of_incident;
DROP TABLE incident_visibility;

-- In the order of lists, newest first; wide, so that the rest of a filter is decided without another look-up.
CREATE INDEX listing_by_status
    ON incident_listing (tenant_id, status, last_update_at DESC, incident_id, assigned_to, visibility_id);
CREATE INDEX listing_by_assignee
    ON incident_listing (tenant_id, assigned_to, status, last_update_at DESC, incident_id, visibility_id);
CREATE INDEX listing_by_visibility
    ON incident_listing (tenant_id, visibility_id, last_update_at DESC, incident_id, status, assigned_to);

-- Entries are added at the end of the table, and only their keys among those of other incidents.
ALTER TABLE history RENAME TO old_history;

CREATE TABLE history (
    history_key INTEGER NOT NULL PRIMARY KEY,
    tenant_id   INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    incident_id INTEGER NOT NULL,
    entry       INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    action      TEXT NOT NULL,
    actor       TEXT NOT NULL,
    request_id  TEXT NOT NULL,
    changes     TEXT NOT NULL,
    UNIQUE (tenant_id, incident_id, entry)
) STRICT;

INSERT INTO history (tenant_id, incident_id, entry, at, action, actor, request_id, changes)
SELECT tenant_id, incident_id, entry, at, action, actor, request_id, changes
  FROM old_history
 ORDER BY tenant_id, incident_id, entry;

DROP TABLE old_history;
