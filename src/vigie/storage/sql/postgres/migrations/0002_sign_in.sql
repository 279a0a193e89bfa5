-- As in SQLite's 0004: people sign in, and applications act for them. Of every secret only a hash is kept.
ALTER TABLE application ADD COLUMN is_public bigint NOT NULL DEFAULT 0;
-- Beside the application permissions and not among them: the release before this one knows only those.
ALTER TABLE application ADD COLUMN delegated_permissions text COLLATE "C" NOT NULL DEFAULT '';

CREATE TABLE redirect_uri (
    tenant_id bigint NOT NULL,
    client_id text COLLATE "C" NOT NULL,
    uri       text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, client_id, uri),
    FOREIGN KEY (tenant_id, client_id) REFERENCES application ON DELETE CASCADE
);

CREATE TABLE password (
    tenant_id  bigint NOT NULL,
    object_id  text COLLATE "C" NOT NULL,
    hash       text COLLATE "C" NOT NULL,
    changed_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, object_id),
    FOREIGN KEY (tenant_id, object_id) REFERENCES account ON DELETE CASCADE
);

-- By the hash of the name that was typed, whether anybody is called so or not: what is done for a name that is
-- unknown takes as long as for one that is known.
CREATE TABLE password_attempt (
    tenant_id    bigint NOT NULL REFERENCES tenant ON DELETE CASCADE,
    name_sha256  bytea NOT NULL,
    count        bigint NOT NULL,
    locked_until bigint NOT NULL,
    forgotten_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, name_sha256)
);

CREATE INDEX password_attempt_by_end ON password_attempt (tenant_id, forgotten_at);

CREATE TABLE authorization_code (
    tenant_id      bigint NOT NULL,
    sha256         bytea NOT NULL,
    client_id      text COLLATE "C" NOT NULL,
    object_id      text COLLATE "C" NOT NULL,
    resource       text COLLATE "C" NOT NULL,
    permissions    text COLLATE "C" NOT NULL,
    scope          text COLLATE "C" NOT NULL,
    redirect_uri   text COLLATE "C" NOT NULL,
    code_challenge text COLLATE "C",
    nonce          text COLLATE "C",
    signed_in_at   bigint NOT NULL,
    expires_at     bigint NOT NULL,
    PRIMARY KEY (tenant_id, sha256),
    FOREIGN KEY (tenant_id, client_id) REFERENCES application ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, object_id) REFERENCES account ON DELETE CASCADE
);

CREATE INDEX authorization_code_by_expiry ON authorization_code (tenant_id, expires_at);
CREATE INDEX authorization_code_by_account ON authorization_code (tenant_id, object_id);
CREATE INDEX authorization_code_by_application ON authorization_code (tenant_id, client_id);

-- user_code is what somebody types who has not said yet in which tenant.
CREATE TABLE device_code (
    tenant_id    bigint NOT NULL,
    sha256       bytea NOT NULL,
    user_code    text COLLATE "C" NOT NULL UNIQUE,
    client_id    text COLLATE "C" NOT NULL,
    resource     text COLLATE "C" NOT NULL,
    permissions  text COLLATE "C" NOT NULL,
    scope        text COLLATE "C" NOT NULL,
    decision     text COLLATE "C" NOT NULL,
    object_id    text COLLATE "C",
    signed_in_at bigint,
    expires_at   bigint NOT NULL,
    PRIMARY KEY (tenant_id, sha256),
    FOREIGN KEY (tenant_id, client_id) REFERENCES application ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, object_id) REFERENCES account ON DELETE CASCADE
);

CREATE INDEX device_code_by_expiry ON device_code (tenant_id, expires_at);
CREATE INDEX device_code_by_account ON device_code (tenant_id, object_id);
CREATE INDEX device_code_by_application ON device_code (tenant_id, client_id);

-- code_sha256 is the code that was redeemed for it: whoever brings that again ends it.
CREATE TABLE token_family (
    tenant_id       bigint NOT NULL,
    family_id       text COLLATE "C" NOT NULL,
    code_sha256     bytea NOT NULL,
    client_id       text COLLATE "C" NOT NULL,
    object_id       text COLLATE "C" NOT NULL,
    resource        text COLLATE "C" NOT NULL,
    permissions     text COLLATE "C" NOT NULL,
    scope           text COLLATE "C" NOT NULL,
    signed_in_at    bigint NOT NULL,
    ends_at         bigint NOT NULL,
    idle_until      bigint NOT NULL,
    kept_until      bigint NOT NULL,
    rotated_at      bigint NOT NULL,
    handle_sha256   bytea,
    current_sha256  bytea,
    previous_sha256 bytea,
    successor_salt  bytea,
    PRIMARY KEY (tenant_id, family_id),
    UNIQUE (tenant_id, code_sha256),
    UNIQUE (tenant_id, handle_sha256),
    FOREIGN KEY (tenant_id, client_id) REFERENCES application ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, object_id) REFERENCES account ON DELETE CASCADE
);

CREATE INDEX token_family_by_end ON token_family (tenant_id, kept_until);
CREATE INDEX token_family_by_account ON token_family (tenant_id, object_id);
CREATE INDEX token_family_by_application ON token_family (tenant_id, client_id);
