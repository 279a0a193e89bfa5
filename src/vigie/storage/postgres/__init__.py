"""PostgreSQL, for any number of servers at once. Needs the extra `vigie[postgres]`."""
