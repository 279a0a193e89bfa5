-- The certificates by which applications prove themselves, and the assertions they have used.
CREATE TABLE application_certificate (
    tenant_id   INTEGER NOT NULL,
    client_id   TEXT NOT NULL,
    sha256      BLOB NOT NULL,
    sha1        BLOB NOT NULL,
    certificate BLOB NOT NULL,
    valid_from  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, client_id, sha256),
    FOREIGN KEY (tenant_id, client_id) REFERENCES application ON DELETE CASCADE
) STRICT;

-- Until each would be refused as expired, so that none is good twice.
CREATE TABLE assertion_seen (
    tenant_id   INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    fingerprint BLOB NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, fingerprint)
) STRICT, WITHOUT ROWID;

CREATE INDEX assertion_seen_by_expiry ON assertion_seen (tenant_id, expires_at);
