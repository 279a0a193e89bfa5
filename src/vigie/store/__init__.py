"""What Vigie remembers: incidents and the directory, in SQLite."""
