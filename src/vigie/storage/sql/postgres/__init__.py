"""The statements that only PostgreSQL has, or has in another text than SQLite, and its migrations."""
