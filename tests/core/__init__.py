"""Tests of `vigie.core`."""
