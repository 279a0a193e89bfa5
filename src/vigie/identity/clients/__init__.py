"""OAuth clients and how they authenticate."""
