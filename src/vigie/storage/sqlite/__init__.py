"""The embedded database: one SQLite file in WAL mode."""
