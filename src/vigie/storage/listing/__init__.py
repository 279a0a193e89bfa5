"""Lists of incidents: a page request planned as SQL over indexes."""
