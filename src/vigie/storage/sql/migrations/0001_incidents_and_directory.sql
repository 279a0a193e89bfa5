-- The first store: the installation, the directory of each tenant, and the incidents.
-- The tenant is in every primary key: it is how the data is later split over machines.

CREATE TABLE installation (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Counts the changes of the directory, so that a running server notices one.
INSERT INTO installation (name, value)
VALUES ('directory_version', '0');

-- AUTOINCREMENT: the key of a removed tenant must not become another's while a server remembers its callers.
CREATE TABLE tenant (
    tenant_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    guid      TEXT NOT NULL UNIQUE,
    name      TEXT NOT NULL UNIQUE,
    domain    TEXT UNIQUE
) STRICT;

CREATE TABLE application (
    tenant_id   INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    client_id   TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    permissions TEXT NOT NULL,
    PRIMARY KEY (tenant_id, client_id),
    UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE client_secret (
    tenant_id  INTEGER NOT NULL,
    client_id  TEXT NOT NULL,
    sha256     BLOB NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (tenant_id, client_id, sha256),
    FOREIGN KEY (tenant_id, client_id) REFERENCES application ON DELETE CASCADE
) STRICT;

CREATE TABLE role (
    tenant_id   INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    name        TEXT NOT NULL,
    permissions TEXT NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT;

CREATE TABLE account (
    tenant_id  INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    object_id  TEXT NOT NULL,
    upn        TEXT NOT NULL,
    upn_folded TEXT NOT NULL,
    PRIMARY KEY (tenant_id, object_id),
    UNIQUE (tenant_id, upn_folded)
) STRICT;

CREATE TABLE device_group (
    tenant_id INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    group_id  INTEGER NOT NULL,
    number    INTEGER,
    name      TEXT NOT NULL,
    PRIMARY KEY (tenant_id, group_id),
    UNIQUE (tenant_id, number)
) STRICT;

CREATE INDEX device_group_by_name ON device_group (tenant_id, name);

-- whole_tenant is said, not concluded from the absence of groups: removing a group must never widen a scope.
CREATE TABLE assignment (
    tenant_id     INTEGER NOT NULL,
    assignment_id TEXT NOT NULL,
    object_id     TEXT NOT NULL,
    role          TEXT NOT NULL,
    whole_tenant  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, assignment_id),
    FOREIGN KEY (tenant_id, object_id) REFERENCES account ON DELETE CASCADE
) STRICT;

CREATE INDEX assignment_by_account ON assignment (tenant_id, object_id);

CREATE TABLE assignment_device_group (
    tenant_id     INTEGER NOT NULL,
    assignment_id TEXT NOT NULL,
    group_id      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, assignment_id, group_id),
    FOREIGN KEY (tenant_id, assignment_id) REFERENCES assignment ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, group_id) REFERENCES device_group ON DELETE CASCADE
) STRICT;

-- A rowid table with its blobs last, so that finding a row by its number reads no document on the way.
CREATE TABLE incident (
    incident_key   INTEGER NOT NULL PRIMARY KEY,
    tenant_id      INTEGER NOT NULL REFERENCES tenant,
    incident_id    INTEGER NOT NULL,
    status         TEXT NOT NULL,
    severity       TEXT,
    assigned_to    TEXT,
    created_at     INTEGER NOT NULL,
    last_update_at INTEGER NOT NULL,
    alerts_at      INTEGER NOT NULL,
    spans          BLOB NOT NULL,
    document       BLOB NOT NULL,
    UNIQUE (tenant_id, incident_id)
) STRICT;

-- All that lists read before they have found their page: under which labels an incident is in sight, and what
-- it is filtered and ordered by. A row under `*` for callers who see the whole tenant, one for each device group
-- that opens the incident to a scope, and one under the empty label for what is open to every reader. In the
-- order of lists, newest first; so a page costs a page for each label, however many incidents there are.
CREATE TABLE incident_sight (
    tenant_id      INTEGER NOT NULL,
    label          TEXT NOT NULL,
    last_update_at INTEGER NOT NULL,
    incident_id    INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    status         TEXT NOT NULL,
    assigned_to    TEXT,
    PRIMARY KEY (tenant_id, label, last_update_at DESC, incident_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sight_by_creation
    ON incident_sight (tenant_id, label, created_at DESC, incident_id, status, assigned_to);

-- In the order of lists too, for those who look at one status or one assignee. Wide, as the one above, so that
-- the rest of a filter is decided without another look-up.
CREATE INDEX sight_by_status
    ON incident_sight (tenant_id, label, status, last_update_at DESC, incident_id, created_at, assigned_to);
CREATE INDEX sight_by_assignee
    ON incident_sight (tenant_id, label, assigned_to, status, last_update_at DESC, incident_id, created_at);
