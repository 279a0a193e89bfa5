"""Synthetic incidents: a generator with a seed, and the sample tenant of demonstrations."""
