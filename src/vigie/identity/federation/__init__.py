"""Tokens of other issuers: their keys, their claims, and what is trusted of them."""
