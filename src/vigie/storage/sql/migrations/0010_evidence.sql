-- Where evidence was seen: made from the incidents by following the change feed, and again from nothing at any time.
-- The id of a value is a digest of its kind and itself, so that it is found without an index over values.
CREATE TABLE evidence (
    tenant_id   INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    evidence_id INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (tenant_id, evidence_id)
) STRICT, WITHOUT ROWID;

-- The incidents in which a value is.
CREATE TABLE evidence_incident (
    tenant_id   INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    evidence_id INTEGER NOT NULL,
    incident_id INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, evidence_id, incident_id)
) STRICT, WITHOUT ROWID;

-- What an incident has: the ids of its evidence, each with the places of the alerts that name it, as MessagePack.
CREATE TABLE evidence_of_incident (
    tenant_id   INTEGER NOT NULL REFERENCES tenant ON DELETE CASCADE,
    incident_id INTEGER NOT NULL,
    evidence    BLOB NOT NULL,
    PRIMARY KEY (tenant_id, incident_id)
) STRICT, WITHOUT ROWID;
