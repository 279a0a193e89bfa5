"""The benchmark: Vigie as it is served, beside references and peers that do the same work."""
