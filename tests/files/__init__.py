"""Tests of `vigie.files`."""
