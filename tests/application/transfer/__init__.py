"""Tests of `vigie.application.transfer`."""
