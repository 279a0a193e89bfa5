-- Where evidence was seen: made from the incidents by following the change feed, and again from nothing at any time.
-- The id of a value is a digest of its kind and itself, so that it is found without an index over values.
CREATE TABLE evidence (
    tenant_id   bigint NOT NULL REFERENCES tenant ON DELETE CASCADE,
    evidence_id bigint NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    value       text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, evidence_id)
);

-- The incidents in which a value is.
CREATE TABLE evidence_incident (
    tenant_id   bigint NOT NULL REFERENCES tenant ON DELETE CASCADE,
    evidence_id bigint NOT NULL,
    incident_id bigint NOT NULL,
    PRIMARY KEY (tenant_id, evidence_id, incident_id)
);

-- What an incident has: the ids of its evidence, each with the places of the alerts that name it, as MessagePack.
CREATE TABLE evidence_of_incident (
    tenant_id   bigint NOT NULL REFERENCES tenant ON DELETE CASCADE,
    incident_id bigint NOT NULL,
    evidence    bytea NOT NULL,
    PRIMARY KEY (tenant_id, incident_id)
);
