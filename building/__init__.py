"""What is made when the package is built. None of it is installed."""
