"""Tests of `vigie.certificates`."""
