"""Tests of `vigie.api`."""
