"""Vigie's own API: what no API of others has."""
