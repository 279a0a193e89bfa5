"""Tests of real client libraries."""
