-- One row for each incident takes the place of one for each label of each, so that an update writes one row and not
-- three or more. A distinct set of labels is stored once, and incidents refer to its number.
CREATE TABLE visibility (
    tenant_id     bigint NOT NULL REFERENCES tenant ON DELETE CASCADE,
    visibility_id bigint NOT NULL,
    labels        text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, visibility_id)
);

-- A hash: many labels are longer than a key of a tree may be. Writers of a tenant take turns, so each set is one row.
CREATE INDEX visibility_by_labels ON visibility USING hash (labels);

CREATE TABLE visibility_label (
    tenant_id     bigint NOT NULL REFERENCES tenant ON DELETE CASCADE,
    label         text COLLATE "C" NOT NULL,
    visibility_id bigint NOT NULL,
    PRIMARY KEY (tenant_id, label, visibility_id)
);

-- All that lists read before they have found their page.
CREATE TABLE incident_listing (
    tenant_id      bigint NOT NULL,
    created_at     bigint NOT NULL,
    incident_id    bigint NOT NULL,
    last_update_at bigint NOT NULL,
    status         text COLLATE "C" NOT NULL,
    assigned_to    text COLLATE "C",
    visibility_id  bigint NOT NULL
);

-- The labels of each incident in the form of `storage/visibility.py`: sorted, and a line each.
CREATE TEMP TABLE labels_of_incident ON COMMIT DROP AS
SELECT tenant_id,
       incident_id,
       string_agg(replace(replace(label, '\', '\\'), chr(10), '\n'), chr(10) ORDER BY label) AS labels
  FROM incident_visibility
 WHERE label <> '*'
 GROUP BY tenant_id, incident_id;

CREATE TEMP TABLE example ON COMMIT DROP AS
SELECT tenant_id, labels, min(incident_id) AS incident_id
  FROM labels_of_incident
 GROUP BY tenant_id, labels;

INSERT INTO visibility (tenant_id, visibility_id, labels)
SELECT tenant_id, row_number() OVER (PARTITION BY tenant_id ORDER BY labels), labels
  FROM example;

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
 ORDER BY tenant_id, created_at, incident_id;

DROP TABLE incident_visibility;

-- In the order of lists, newest first; wide, so that the rest of a filter is decided from the index alone.
CREATE UNIQUE INDEX listing_by_creation
    ON incident_listing (tenant_id, created_at DESC, incident_id)
    INCLUDE (last_update_at, status, assigned_to, visibility_id);
CREATE INDEX listing_by_status
    ON incident_listing (tenant_id, status, last_update_at DESC, incident_id)
    INCLUDE (created_at, assigned_to, visibility_id);
-- Two, because NULL is no constant to the planner: it would sort what IS NULL has found in order already.
CREATE INDEX listing_by_assignee
    ON incident_listing (tenant_id, assigned_to, status, last_update_at DESC, incident_id)
    INCLUDE (created_at, visibility_id)
    WHERE assigned_to IS NOT NULL;
CREATE INDEX listing_of_unassigned
    ON incident_listing (tenant_id, status, last_update_at DESC, incident_id)
    INCLUDE (created_at, assigned_to, visibility_id)
    WHERE assigned_to IS NULL;
CREATE INDEX listing_by_visibility
    ON incident_listing (tenant_id, visibility_id, last_update_at DESC, incident_id)
    INCLUDE (created_at, status, assigned_to);

-- What is new to the planner: until it knows, it would read whole tables.
ANALYZE visibility;
ANALYZE visibility_label;
ANALYZE incident_listing;
