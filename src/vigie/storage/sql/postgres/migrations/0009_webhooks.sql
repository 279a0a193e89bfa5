-- Receivers of changes. `kinds` and `severities` are words with spaces between them, none: all. `secret` is encrypted.
-- `position` is the last change that was delivered or left out. `leased_until` is when the server that delivers now,
-- which `lease` names, has lost its turn.
CREATE TABLE webhook (
    tenant_id        bigint NOT NULL REFERENCES tenant ON DELETE CASCADE,
    webhook_id       text COLLATE "C" NOT NULL,
    name             text COLLATE "C" NOT NULL,
    url              text COLLATE "C" NOT NULL,
    kinds            text COLLATE "C" NOT NULL,
    severities       text COLLATE "C" NOT NULL,
    allows_private   bigint NOT NULL,
    secret           text COLLATE "C" NOT NULL,
    created_at       bigint NOT NULL,
    position         bigint NOT NULL,
    state            text COLLATE "C" NOT NULL,
    failures         bigint NOT NULL,
    failing_since    bigint,
    next_try_at      bigint NOT NULL,
    last_delivery_at bigint,
    last_error       text COLLATE "C" NOT NULL,
    missed_at        bigint,
    lease            text COLLATE "C" NOT NULL,
    leased_until     bigint NOT NULL,
    PRIMARY KEY (tenant_id, webhook_id),
    UNIQUE (tenant_id, name)
);
