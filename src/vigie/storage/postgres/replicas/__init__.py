"""Replicas of a PostgreSQL primary: which of them have come far enough to be read from."""
