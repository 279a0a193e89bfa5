"""HTTPS: an authority of its own, certificates kept current, and the door where clients shake hands."""
