"""Tests of `vigie.application`."""
