"""Tests of `vigie.identity.grants`."""
