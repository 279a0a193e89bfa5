"""Settings: their types and validators, and the sources of their values."""
