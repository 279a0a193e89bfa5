"""Tests of `vigie.identity`."""
