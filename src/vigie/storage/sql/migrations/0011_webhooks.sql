-- Receivers of changes. `kinds` and `severities` are words with spaces between them, none: all. `secret` is encrypted.
-- `position` is the last change that was delivered or left out. `leased_until` is when the server that delivers now,
-- which `lease` names, has lost its turn.
CREATE TABLE webhook (
    tenant_id        INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    webhook_id       TEXT NOT NULL,
    name             TEXT NOT NULL,
    url              TEXT NOT NULL,
    kinds            TEXT NOT NULL,
    severities       TEXT NOT NULL,
    allows_private   INTEGER NOT NULL,
    secret           TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    position         INTEGER NOT NULL,
    state            TEXT NOT NULL,
    failures         INTEGER NOT NULL,
    failing_since    INTEGER,
    next_try_at      INTEGER NOT NULL,
    last_delivery_at INTEGER,
    last_error       TEXT NOT NULL,
    missed_at        INTEGER,
    lease            TEXT NOT NULL,
    leased_until     INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, webhook_id),
    UNIQUE (tenant_id, name)
) STRICT;
