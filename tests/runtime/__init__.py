"""Tests of `vigie.runtime`."""
