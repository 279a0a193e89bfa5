"""The composition root: components built from settings, started, watched and stopped."""
