"""Tests of `vigie.http`."""
