"""Tests of `vigie.cli`."""
