-- People sign in, and applications act for them. Of every secret only a hash is kept.
ALTER TABLE application ADD COLUMN is_public INTEGER NOT NULL DEFAULT 0;
-- Beside the application permissions and not among them: the release before this one knows only those.
ALTER TABLE application ADD COLUMN delegated_permissions TEXT NOT NULL DEFAULT '';

CREATE TABLE redirect_uri (
    tenant_id INTEGER NOT NULL,
    client_id TEXT NOT NULL,
    uri       TEXT NOT NULL,
    PRIMARY KEY (tenant_id, client_id, uri),
    FOREIGN KEY (tenant_id, client_id) REFERENCES application ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE password (
    tenant_id  INTEGER NOT NULL,
    object_id  TEXT NOT NULL,
    hash       TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, object_id),
    FOREIGN KEY (tenant_id, object_id) REFERENCES account ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- By the hash of the name that was typed, whether anybody is called so or not: what is done for a name that is
-- unknown takes as long as for one that is known.
CREATE TABLE password_attempt (
    tenant_id    INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    name_sha256  BLOB NOT NULL,
    count        INTEGER NOT NULL,
    locked_until INTEGER NOT NULL,
    forgotten_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name_sha256)
) STRICT, WITHOUT ROWID;

CREATE INDEX password_attempt_by_end ON password_attempt (tenant_id, forgotten_at);

CREATE TABLE authorization_code (
    tenant_id      INTEGER NOT NULL,
    sha256         BLOB NOT NULL,
    client_id      TEXT NOT NULL,
    object_id      TEXT NOT NULL,
    resource       TEXT NOT NULL,
    permissions    TEXT NOT NULL,
    scope          TEXT NOT NULL,
    redirect_uri   TEXT NOT NULL,
    code_challenge TEXT,
    nonce          TEXT,
    signed_in_at   INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, sha256),
    FOREIGN KEY (tenant_id, client_id) REFERENCES application ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, object_id) REFERENCES account ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX authorization_code_by_expiry ON authorization_code (tenant_id, expires_at);
CREATE INDEX authorization_code_by_account ON authorization_code (tenant_id, object_id);
CREATE INDEX authorization_code_by_application ON authorization_code (tenant_id, client_id);

-- user_code is what somebody types who has not said yet in which tenant.
CREATE TABLE device_code (
    tenant_id    INTEGER NOT NULL,
    sha256       BLOB NOT NULL,
    user_code    TEXT NOT NULL UNIQUE,
    client_id    TEXT NOT NULL,
    resource     TEXT NOT NULL,
    permissions  TEXT NOT NULL,
    scope        TEXT NOT NULL,
    decision     TEXT NOT NULL,
    object_id    TEXT,
    signed_in_at INTEGER,
    expires_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, sha256),
    FOREIGN KEY (tenant_id, client_id) REFERENCES application ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, object_id) REFERENCES account ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX device_code_by_expiry ON device_code (tenant_id, expires_at);
CREATE INDEX device_code_by_account ON device_code (tenant_id, object_id);
CREATE INDEX device_code_by_application ON device_code (tenant_id, client_id);

-- code_sha256 is the code that was redeemed for it: whoever brings that again ends it.
CREATE TABLE token_family (
    tenant_id       INTEGER NOT NULL,
    family_id       TEXT NOT NULL,
    code_sha256     BLOB NOT NULL,
    client_id       TEXT NOT NULL,
    object_id       TEXT NOT NULL,
    resource        TEXT NOT NULL,
    permissions     TEXT NOT NULL,
    scope           TEXT NOT NULL,
    signed_in_at    INTEGER NOT NULL,
    ends_at         INTEGER NOT NULL,
    idle_until      INTEGER NOT NULL,
    kept_until      INTEGER NOT NULL,
    rotated_at      INTEGER NOT NULL,
    handle_sha256   BLOB,
    current_sha256  BLOB,
    previous_sha256 BLOB,
    successor_salt  BLOB,
    PRIMARY KEY (tenant_id, family_id),
    UNIQUE (tenant_id, code_sha256),
    UNIQUE (tenant_id, handle_sha256),
    FOREIGN KEY (tenant_id, client_id) REFERENCES application ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, object_id) REFERENCES account ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX token_family_by_end ON token_family (tenant_id, kept_until);
CREATE INDEX token_family_by_account ON token_family (tenant_id, object_id);
CREATE INDEX token_family_by_application ON token_family (tenant_id, client_id);
