"""Tests of `vigie.webhooks`."""
