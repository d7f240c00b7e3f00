"""One connection at work: bodies read and sent at the rate that is allowed, and every way to end it."""

import asyncio
import socket
import struct
import time

from aiohttp import web

from faultys3.faults import Dropped, Hung

CHUNK_BYTES = 64 * 1024


class Pace:
    """Lets so many bytes a second through, over all connections; None for any number."""

    def __init__(self, bytes_per_s):
        self.bytes_per_s = bytes_per_s
        self._free_at = 0.0

    async def spend(self, size_bytes):
        """Wait until these bytes may go."""
        if self.bytes_per_s is not None:
            self._free_at = max(self._free_at, time.monotonic()) + size_bytes / self.bytes_per_s
            await asyncio.sleep(self._free_at - time.monotonic())


async def read_body(request, call, pace, cut):
    """Return the body as it was sent; where a cut ends it, act on that."""
    size = int(call.headers.get("content-length", 0))
    limit = cut.limit(size) if cut is not None and size else None
    if call.headers.get("expect", "").lower() == "100-continue":
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    chunks = []
    while limit is None or call.received_bytes < limit:
        chunk = await request.content.read(CHUNK_BYTES if limit is None else limit - call.received_bytes)
        if not chunk:
            break
        call.received_bytes += len(chunk)
        chunks.append(chunk)
        await pace.spend(len(chunk))
    if limit is not None:
        raise _ending(cut)
    return b"".join(chunks)


async def send(request, call, answer, pace, cut):
    """Send an answer, or as much of it as a cut lets through, and return what aiohttp wants to have."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    if answer.status not in {204, 304}:
        response.content_length = len(answer.body)
    await response.prepare(request)
    size = 0 if call.method == "HEAD" else len(answer.body)
    body = answer.body[: size if cut is None else cut.limit(size)]
    for start in range(0, len(body), CHUNK_BYTES):
        chunk = body[start : start + CHUNK_BYTES]
        await pace.spend(len(chunk))
        await response.write(chunk)
    if cut is not None:
        raise _ending(cut)
    await response.write_eof()
    return response


def _ending(cut):
    return Hung() if cut.ending == "stall" else Dropped(cut.ending)


def end(transport, ending):
    """Close a connection after what was written to it, or reset it."""
    if ending == "reset":
        # closing with a linger of no time sends RST
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        transport.abort()
    else:
        transport.close()
