-- The change feed: every change of an incident or an alert, in the order in which they were committed.
-- `visible_before` and `visible_after` are the labels of the incident before and after, NULL where it was or is not
-- there; `alert_visible` are those of the alert, NULL where the change is of no single alert.
-- `is_of_head` is 1 where the alerts are as they were.
CREATE TABLE change (
    tenant_id      bigint NOT NULL REFERENCES tenant ON DELETE CASCADE,
    number         bigint NOT NULL,
    at             bigint NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    incident_id    bigint NOT NULL,
    alert_id       text COLLATE "C",
    actor          text COLLATE "C" NOT NULL,
    request_id     text COLLATE "C" NOT NULL,
    visible_before bytea,
    visible_after  bytea,
    alert_visible  bytea,
    is_of_head     bigint NOT NULL,
    PRIMARY KEY (tenant_id, number)
);

-- The last change of a tenant: its number, which is never given again, and the last update that a reader may have
-- seen. Updates come after it. `first_number` is the oldest change that is kept.
CREATE TABLE latest_change (
    tenant_id      bigint NOT NULL PRIMARY KEY REFERENCES tenant ON DELETE CASCADE,
    number         bigint NOT NULL,
    first_number   bigint NOT NULL,
    last_update_at bigint NOT NULL
);

INSERT INTO latest_change (tenant_id, number, first_number, last_update_at)
SELECT tenant_id, 0, 1, at
  FROM latest_update;

DROP TABLE latest_update;

-- How far each consumer of the feed has come.
CREATE TABLE consumer (
    tenant_id bigint NOT NULL REFERENCES tenant ON DELETE CASCADE,
    name      text COLLATE "C" NOT NULL,
    position  bigint NOT NULL,
    PRIMARY KEY (tenant_id, name)
);
