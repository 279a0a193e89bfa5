"""Identity: signing keys, tokens issued and checked, and the caller that a token proves."""
