"""Tokens that this server issues: claims, signatures, audiences, scopes."""
