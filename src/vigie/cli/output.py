"""The output of commands: messages, JSON, and errors. Loads only msgspec, because `vigie serve` starts with it."""

import sys

import msgspec


class CommandFailed(Exception):
    """The command could not be carried out; the message is one line that says what to do. Exit code 1."""


class WrongUsage(Exception):
    """The command line is wrong; the message is one line. Exit code 2."""


def print_status(text: str) -> None:
    """Write a message that is not the answer: one line on stderr."""
    sys.stderr.write(f"{one_line(text)}\n")
    sys.stderr.flush()


def write_json(value: object) -> None:
    """Write an answer as a line of JSON on stdout."""
    # Bytes: JSON is UTF-8 whatever the terminal's encoding is.
    sys.stdout.flush()
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def one_line(text: str) -> str:
    """A text as one printable line: control characters are escaped."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
