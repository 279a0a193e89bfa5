"""Tests of `vigie.api.defender`."""
