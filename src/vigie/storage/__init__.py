"""The database: incidents, the directory and sign-in records, in SQLite or PostgreSQL."""
