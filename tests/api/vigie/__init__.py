"""Tests of Vigie's own API."""
