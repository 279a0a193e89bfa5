"""Positions in replication: everything committed up to a position is there, and nothing that came after."""

from typing import NewType

ReplicationPosition = NewType("ReplicationPosition", int)
"""Later is greater. Two of them compare only within one cluster of databases."""

_OFFSET_BITS = 64


def replication_position_of(timeline: int, offset: int) -> ReplicationPosition:
    """A place in the log of a cluster: how often another database has become the primary, then the byte.

    The timeline goes first: on a new one the bytes are counted on from where it left the one before, and what
    the old primary may have written behind that place is no part of it.
    """
    return ReplicationPosition(timeline << _OFFSET_BITS | offset)
