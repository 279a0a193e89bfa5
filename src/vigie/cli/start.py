"""The console script. It answers Ctrl-C from its first moment on, also while the program is still loading."""

import sys

STOPPED = 130


def run() -> None:
    """Load the program and run it."""
    try:
        from vigie.cli.main import run as run_loaded
    except KeyboardInterrupt:
        sys.stderr.write("vigie: stopped\n")
        sys.exit(STOPPED)
    run_loaded()
