"""Access log, event log and metrics."""
