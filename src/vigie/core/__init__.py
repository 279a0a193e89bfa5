"""The core: the rules of incidents, callers and quotas. No clock, file, socket, log or framework."""
