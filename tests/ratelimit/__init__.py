"""Tests of `vigie.ratelimit`."""
