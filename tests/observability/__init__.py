"""Tests of `vigie.observability`."""
