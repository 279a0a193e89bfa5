"""The token endpoints and what is published about them, in Microsoft's shapes."""
