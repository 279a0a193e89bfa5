"""The entry point of the console script, which handles Ctrl-C while the program is still loading."""

import sys

INTERRUPTED = 130


def run() -> None:
    """Load the program and run it."""
    try:
        from vigie.cli.main import run as run_loaded
    except KeyboardInterrupt:
        sys.stderr.write("vigie: stopped\n")
        sys.exit(INTERRUPTED)
    run_loaded()
