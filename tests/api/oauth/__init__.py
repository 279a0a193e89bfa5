"""Tests of `vigie.api.oauth`."""
