"""Code that runs when the package is built. None of it is installed."""
