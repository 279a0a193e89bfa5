"""Tests of `vigie.storage.postgres`."""
