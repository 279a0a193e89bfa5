"""Tests of `vigie.ui`."""
