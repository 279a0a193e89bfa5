-- A row for each alert, in the form in which it came. `copy` tells apart what data of another system calls by one id: 0
-- for the first. `place` is its place among the alerts of the incident.
-- The step of this name in `storage/migration_steps/` fills the table, some incidents at a time.
CREATE TABLE alert (
    tenant_id         bigint NOT NULL REFERENCES tenant,
    incident_id       bigint NOT NULL,
    place             bigint NOT NULL,
    alert_id          text COLLATE "C",
    copy              bigint NOT NULL,
    origin            text COLLATE "C" NOT NULL,
    created_at        bigint,
    last_update_at    bigint,
    first_activity_at bigint,
    last_activity_at  bigint,
    resolved_at       bigint,
    status            text COLLATE "C",
    severity          text COLLATE "C",
    classification    text COLLATE "C",
    determination     text COLLATE "C",
    service_source    text COLLATE "C",
    assigned_to       text COLLATE "C",
    provider_alert_id text COLLATE "C",
    own_groups        bytea,
    named_groups      bytea,
    source_group      bytea,
    native            bytea NOT NULL,
    PRIMARY KEY (tenant_id, incident_id, place),
    UNIQUE (tenant_id, alert_id, copy)
);

ALTER TABLE alert ALTER COLUMN native SET STORAGE EXTERNAL;

-- The materialised answer may be absent: then `document` is empty, `head` has the incident's own keys, and the answer
-- is assembled from the rows. While it is there, it has the head, and `head` is NULL.
ALTER TABLE incident ADD COLUMN origin text COLLATE "C" NOT NULL DEFAULT 'defender';
ALTER TABLE incident ADD COLUMN head bytea;

CREATE INDEX incident_without_answer
    ON incident (tenant_id, incident_id)
    WHERE head IS NOT NULL;

-- How far that step has come in each tenant: the last incident whose alerts have their rows. Its end drops the table.
CREATE TABLE alerts_to_add (
    tenant_id bigint NOT NULL PRIMARY KEY REFERENCES tenant ON DELETE CASCADE,
    after     bigint NOT NULL,
    done      bigint NOT NULL,
    total     bigint NOT NULL,
    is_done   boolean NOT NULL
);

INSERT INTO alerts_to_add (tenant_id, after, done, total, is_done)
SELECT tenant_id, 0, 0, count(*), false
  FROM incident
 GROUP BY tenant_id;
