"""The directory of each tenant: its applications, users, roles, assignments and device groups."""
