"""Tests of `vigie.storage`."""
