"""Incidents from files: found, read and kept as they came."""
