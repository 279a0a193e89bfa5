"""Forms of documents: JSON without loss, and incident documents read and written."""
