-- A stub is visible as the incident that it leads to. The step of this name in
-- `storage/migration_steps/` fills the column.
ALTER TABLE incident ADD COLUMN redirect_incident_id bigint;

CREATE INDEX incident_by_target
    ON incident (tenant_id, redirect_incident_id, incident_id)
    WHERE redirect_incident_id IS NOT NULL;
