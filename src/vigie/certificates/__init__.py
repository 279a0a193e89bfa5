"""The private certificate authority and the server certificates that it signs."""
