"""The chunks of one answer, written straight to its connection as long as the client takes them."""

from collections.abc import Sequence

from vigie.http.request_cycle import RequestCycle

_JOINED_BELOW_BYTES = 2 * 1024
# glibc returns fresh pages for every larger one, which costs four times the CPU.
_JOINED_BYTES_MAX = 80 * 1024
_CHUNK_BYTES_MAX = 256 * 1024


class ChunkWriter:
    """Writes pieces as they are, where `send` would copy each of them twice."""

    def __init__(self, send: object) -> None:
        cycle = getattr(send, "__self__", None)
        self._cycle = cycle if isinstance(cycle, RequestCycle) else None
        self._is_secure = self._cycle is not None and self._cycle.transport.get_extra_info("sslcontext")

    @property
    def is_ready(self) -> bool:
        """Whether the client is there, and has taken what came before."""
        cycle = self._cycle
        if cycle is None or cycle.flow.write_paused or cycle.disconnected:
            return False
        return not cycle.transport.is_closing()

    def write(self, pieces: Sequence[bytes], size: int) -> bool:
        """Write pieces of this size in all as one chunk.

        False leaves them to `send`: the client has yet to take what came before, the answer has no chunks, or they
        are more than should be kept until all of it is taken.
        """
        cycle = self._cycle
        if cycle is None:
            return False
        size_max = _JOINED_BYTES_MAX if self._is_secure else _CHUNK_BYTES_MAX
        if size > size_max or not cycle.chunked_encoding or not self.is_ready:
            return False
        chunk = [cycle.take_head() + b"%x\r\n" % size, *pieces, b"\r\n"]
        # TLS makes a record of each piece, and to hand over a small one costs more than to copy it.
        if self._is_secure or size < _JOINED_BELOW_BYTES * len(pieces):
            cycle.transport.write(b"".join(chunk))
        else:
            cycle.transport.writelines(chunk)
        return True
