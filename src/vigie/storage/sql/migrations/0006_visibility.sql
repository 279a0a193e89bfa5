-- The table is called what it holds: the labels that make incidents visible to scoped callers.
ALTER TABLE incident_sight RENAME TO incident_visibility;

-- SQLite cannot rename an index.
DROP INDEX sight_by_creation;
DROP INDEX sight_by_status;
DROP INDEX sight_by_assignee;

CREATE INDEX visibility_by_creation
    ON incident_visibility (tenant_id, label, created_at DESC, incident_id, status, assigned_to);
CREATE INDEX visibility_by_status
    ON incident_visibility (tenant_id, label, status, last_update_at DESC, incident_id, created_at, assigned_to);
CREATE INDEX visibility_by_assignee
    ON incident_visibility (tenant_id, label, assigned_to, status, last_update_at DESC, incident_id, created_at);
