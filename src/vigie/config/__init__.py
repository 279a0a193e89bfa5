"""Settings: what an operator may set, where each value comes from, how it is checked."""
