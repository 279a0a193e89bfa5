"""The commands: what an administrator types, and what a person reads back."""
