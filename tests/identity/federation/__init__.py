"""Tests of `vigie.identity.federation`."""
