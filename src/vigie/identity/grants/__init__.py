"""The OAuth 2.0 grants of the token endpoint."""
