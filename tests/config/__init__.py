"""Tests of `vigie.config`."""
