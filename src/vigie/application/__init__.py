"""The application layer: what callers do with incidents."""
