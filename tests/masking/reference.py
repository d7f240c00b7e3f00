"""Masking as its specification says it, one byte at a time: slow, and sharing no code with the package."""

REACH = 4096
LETTERS = b"abcdefghijklmnopqrstuvwxyz"
WORD_BYTES = LETTERS + LETTERS.upper() + b"0123456789_"


def masked_text(data, anywhere, words):
    """Mask bytes that are complete in themselves."""
    return render(data, covered_bytes(data, anywhere, words))


def masked_stream(data, anywhere, words):
    """Mask a whole stream: at its end, 8 bytes or more that a pattern begins with are masked too."""
    covered = covered_bytes(data, anywhere, words)
    for positions in readings(data):
        text = bytes(data[position] for position in positions)
        for start in range(len(text)):
            tail = text[start:]
            is_near = positions[start] > len(data) - REACH
            is_beginning = any(len(form) > len(tail) and form.startswith(tail) for form in anywhere)
            if is_near and is_beginning and len(tail) >= 8:
                covered |= set(range(positions[start], positions[-1] + 1))
    return render(data, covered)


def covered_bytes(data, anywhere, words):
    """Return the positions of all bytes that belong to a secret, read with and without escapes."""
    covered = set()
    for positions in readings(data):
        text = bytes(data[position] for position in positions)
        for pattern in [*anywhere, *words]:
            for start in range(len(text) - len(pattern) + 1):
                if text[start : start + len(pattern)] != pattern:
                    continue
                if pattern in words and not is_alone(text, start, start + len(pattern), positions):
                    continue
                span = range(positions[start], positions[start + len(pattern) - 1] + 1)
                if len(span) <= REACH:
                    covered |= set(span)
    return covered


def render(data, covered):
    """Write every run of covered bytes as one mask."""
    out = b""
    for position, byte in enumerate(data):
        if position not in covered:
            out += bytes([byte])
        elif position - 1 not in covered:
            out += b"***"
    return out


def is_alone(text, start, end, positions):
    """Say whether neither end of a word is in the middle of a longer one."""
    if start > 0 and text[start - 1] in WORD_BYTES and text[start] in WORD_BYTES:
        return False
    if end == len(text) or positions[end] - positions[start] >= REACH:
        return True
    return text[end - 1] not in WORD_BYTES or text[end] not in WORD_BYTES


def readings(data):
    """Return the positions of all bytes, and of those in no escape, finished or unfinished."""
    return [list(range(len(data))), outside(data, escape_size), outside(data, unfinished_size)]


def outside(data, size_at):
    """Return the positions of the bytes that are in no escape."""
    positions = []
    position = 0
    while position < len(data):
        size = size_at(data, position)
        if size == 0:
            positions.append(position)
        position += max(size, 1)
    return positions


def unfinished_size(data, at):
    """Return how many bytes are one escape, where text may follow one that was left unfinished."""
    after = data[at + 1 : at + 3]
    if data[at] != 0x1B or after[:1] in (b"]", b"\\") or b" " <= after[:1] <= b"/":
        return escape_size(data, at)
    if after[:1] != b"[":
        return 1
    is_finished = b" " <= after[1:] <= b"?" or after[1:] in (b"m", b"K")
    return escape_size(data, at) if is_finished else 2


def escape_size(data, at):
    """Return how many bytes from a position on are one escape, or the beginning of one."""
    if data[at] == 0x1B:
        kind, end = data[at + 1 : at + 2], at + 2
    elif data[at] == 0xC2 and data[at + 1 : at + 2] and 0x80 <= data[at + 1] <= 0x9F:
        kind, end = bytes([data[at + 1] - 0x40]), at + 2
    elif 0x80 <= data[at] <= 0x9F and (at == 0 or data[at - 1] < 0x80):
        kind, end = bytes([data[at] - 0x40]), at + 1
    else:
        return 0
    if kind == b"[":
        end = skip(data, end, lambda byte: 0x30 <= byte <= 0x3F)
        end = skip(data, end, lambda byte: 0x20 <= byte <= 0x2F)
        return skip(data, end, lambda byte: 0x40 <= byte <= 0x7E, limit=1) - at
    if kind and kind in b"]PX^_":
        end = skip(data, end, lambda byte: byte not in b"\x07\x1b\r\n")
        return skip(data, end, lambda byte: byte == 0x07, limit=1) - at
    if data[at] == 0x1B:
        end = skip(data, at + 1, lambda byte: 0x20 <= byte <= 0x2F)
        end = skip(data, end, lambda byte: 0x30 <= byte <= 0x7E, limit=1)
    return end - at


def skip(data, position, belongs, limit=REACH):
    """Return the position after the bytes that belong, at most `limit` of them."""
    end = position
    while end < len(data) and end - position < limit and belongs(data[end]):
        end += 1
    return end
