"""Rate limits: the calls of each caller, counted in memory or in Valkey."""
