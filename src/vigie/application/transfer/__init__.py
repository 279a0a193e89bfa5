"""Incidents in bulk: read from files, imported, exported."""
