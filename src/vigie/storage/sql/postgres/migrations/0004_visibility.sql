-- The table is called what it holds: the labels that make incidents visible to scoped callers.
ALTER TABLE incident_sight RENAME TO incident_visibility;
ALTER INDEX sight_by_last_update RENAME TO visibility_by_last_update;
ALTER INDEX sight_by_creation RENAME TO visibility_by_creation;
ALTER INDEX sight_by_status RENAME TO visibility_by_status;
ALTER INDEX sight_by_assignee RENAME TO visibility_by_assignee;
ALTER INDEX sight_of_nobody RENAME TO visibility_of_unassigned;
