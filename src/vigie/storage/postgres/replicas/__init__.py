"""Hot standbys of PostgreSQL: which of them has come far enough to be read from."""
