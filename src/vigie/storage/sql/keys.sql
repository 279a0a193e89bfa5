-- name: set_installation_value!
INSERT INTO installation (name, value)
VALUES (:name, :value)
    ON CONFLICT (name) DO UPDATE
   SET value = excluded.value;
