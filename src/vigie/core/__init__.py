"""The ground floor: what is true of incidents, callers, quotas. No clock, file, socket, log or framework."""
