"""The pages on which people sign in, and say what an application may have."""
