"""Tests of `vigie.api.operations`."""
