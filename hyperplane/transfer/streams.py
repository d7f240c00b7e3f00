"""Objects as files: read from any place, written as they come, and there only when they are whole."""

import io
import queue
import threading
from collections.abc import Iterator

from hyperplane.stores.objects import PART_BYTES, Buffer, ObjectInfo, ObjectStore
from hyperplane.transfer.workers import Cancellation

FIRST_WINDOW_BYTES = 1 << 20
LARGEST_WINDOW_BYTES = 64 << 20
BUFFER_BYTES = 256 << 10


def open_reader(store: ObjectStore, key: str) -> io.BufferedReader:
    """Open an object for reading; it can be sought in, and stays the version that it was when opened."""
    return io.BufferedReader(_Reader(store, store.head(key)), BUFFER_BYTES)


class _Reader(io.RawIOBase):
    """Reads in windows: small ones after a seek, larger ones as long as it goes straight on."""

    def __init__(self, store: ObjectStore, info: ObjectInfo) -> None:
        self._store = store
        self._info = info
        self._position = 0
        self._window = FIRST_WINDOW_BYTES
        self._chunks: Iterator[Buffer] = iter(())
        self._pending = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._info.size_bytes}[whence]
        if base + offset < 0:
            raise ValueError("a position before the beginning")
        if base + offset != self._position:
            self._position = base + offset
            self._chunks, self._pending = iter(()), memoryview(b"")
            self._window = FIRST_WINDOW_BYTES
        return self._position

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]  # of a writable one
        if not self._pending:
            self._pending = self._next()
        count = min(len(buffer), len(self._pending))
        memoryview(buffer)[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        self._position += count
        return count

    def _next(self) -> memoryview:
        while self._position < self._info.size_bytes:
            chunk = next(self._chunks, None)
            if chunk is not None and len(chunk):
                return memoryview(chunk)
            if chunk is None:
                self._open_window()
        return memoryview(b"")

    def _open_window(self) -> None:
        stop = min(self._position + self._window, self._info.size_bytes)
        reading = self._store.read(self._info.key, self._position, stop, etag=self._info.etag)
        self._chunks = iter(reading.chunks)
        self._window = min(self._window * 2, LARGEST_WINDOW_BYTES)


class ObjectWriter(io.RawIOBase):
    """Writes an object part by part while it comes; it is there once this is closed, and never in halves.

    Leaving a `with` block by an exception drops it.
    """

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store = store
        self._key = key
        self._pending = bytearray()
        self._is_discarded = False
        self._sender: _Sender | None = None

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: Buffer) -> int:  # type: ignore[override]  # any buffer will do
        """Take all of the data, and send what makes a part. Raises what went wrong with earlier ones."""
        if self.closed:
            raise ValueError("the object is closed")
        view = memoryview(data).cast("B")
        self._pending += view
        while len(self._pending) >= PART_BYTES:
            self._send(bytes(self._pending[:PART_BYTES]))
            del self._pending[:PART_BYTES]
        return len(view)

    def discard(self) -> None:
        """Have nothing become of what was written, when this is closed."""
        self._is_discarded = True

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        self.discard()  # what nobody closed was not finished
        super().__del__()

    def close(self) -> None:
        """Finish the object. Raises what went wrong; then it is not there."""
        if self.closed:
            return
        super().close()
        if self._is_discarded:
            if self._sender is not None:
                self._sender.give_up()
        elif self._sender is None:
            self._store.write(self._key, bytes(self._pending))
        else:
            if self._pending:
                self._send(bytes(self._pending))
            self._sender.finish()

    def _send(self, piece: bytes) -> None:
        if self._sender is None:
            self._sender = _Sender(self._store, self._key)
        self._sender.send(piece)


class _Sender:
    """Sends the pieces of one object in a thread of its own, which does not keep the writer alive."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._key = key
        self._cancellation = Cancellation()
        self._store = store.patient(self._cancellation.sleep)
        self._pieces: queue.Queue[bytes | None] = queue.Queue(maxsize=2)
        self._is_ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="transfer-writer")
        self._thread.start()

    def send(self, piece: bytes) -> None:
        """Send one more piece. Raises what went wrong with earlier ones."""
        if self._error is not None:
            raise self._error
        self._pieces.put(piece)

    def finish(self) -> None:
        """Wait until the object is there. Raises what went wrong."""
        self._end()
        if self._error is not None:
            raise self._error

    def give_up(self) -> None:
        """Have no object, and wait until nothing of it is in the store."""
        self._cancellation.set()
        self._end()

    def _end(self) -> None:
        self._pieces.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._store.write_chunks(self._key, self._received, can_repeat=False)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that writes
            self._error = error
            while not self._is_ended:  # or the writer would wait for ever
                self._is_ended = self._pieces.get() is None

    def _received(self) -> Iterator[bytes]:
        while not self._is_ended:
            piece = self._pieces.get()
            self._is_ended = piece is None
            self._cancellation.check()
            if piece is not None:
                yield piece


class ObjectTextWriter(io.TextIOWrapper):
    """The same for text."""

    def __init__(self, writer: ObjectWriter, encoding: str) -> None:
        super().__init__(writer, encoding=encoding)  # type: ignore[arg-type]  # it writes all that it is given
        self._writer = writer

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._writer.discard()
        self.close()
