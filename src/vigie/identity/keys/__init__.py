"""The signing keys of this installation."""
