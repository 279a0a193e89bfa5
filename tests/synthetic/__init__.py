"""Tests of `vigie.synthetic`."""
