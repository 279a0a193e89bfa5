"""Errors of key and certificate files."""


class KeyFileError(Exception):
    """The key file cannot be used; the message is one line that says what to do."""
