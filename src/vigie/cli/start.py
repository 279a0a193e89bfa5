"""The entry point of the console script, which handles Ctrl-C while the program is still loading."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130


def run() -> None:
    """Load the program and run it."""
    try:
        with loading():
            from vigie.cli.main import run as run_loaded
    except KeyboardInterrupt:
        sys.stderr.write("vigie: stopped\n")
        sys.exit(INTERRUPTED)
    run_loaded()


@contextmanager
def loading() -> Iterator[None]:
    """Import modules in the block without collecting garbage, which takes a tenth of a start and finds little.

    What is loaded stays, so that later collections leave it out too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
