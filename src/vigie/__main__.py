"""`python -m vigie`: the program where its script is not on the path."""

from vigie.cli.start import run

if __name__ == "__main__":
    run()
