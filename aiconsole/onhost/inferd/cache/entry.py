"""One finished answer, as it is kept, and as bytes that any process can read again."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

_HEAD = struct.Struct(">8s32sIQQB")
_MARK = b"inferd\x00\x01"
"""What our values begin with; the last byte is the version of all that follows."""
_SUM = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer that came to its end by itself."""

    body: bytes
    """The whole answer as JSON, in OpenAI's shape."""
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str

    def pack(self, key: bytes) -> bytes:
        """As bytes; the key is in them, so that a value in the wrong place is known as such."""
        reason = self.finish_reason.encode()
        head = _HEAD.pack(
            _MARK, key, len(self.body), self.prompt_tokens, self.completion_tokens, len(reason)
        )
        data = head + reason + self.body
        return data + _SUM.pack(zlib.crc32(data))


def unpack(key: bytes, data: bytes) -> Entry | None:
    """The entry in bytes that somebody else kept; None where it is not ours, or not whole."""
    if len(data) < _HEAD.size + _SUM.size:
        return None
    mark, its_key, size, prompt, completion, reason_size = _HEAD.unpack_from(data)
    whole = _HEAD.size + reason_size + size + _SUM.size == len(data)
    if mark != _MARK or its_key != key or not whole:
        return None
    if zlib.crc32(memoryview(data)[: -_SUM.size]) != _SUM.unpack_from(data, len(data) - 4)[0]:
        return None
    reason_end = _HEAD.size + reason_size
    reason = data[_HEAD.size : reason_end].decode("utf-8", "replace")
    return Entry(data[reason_end : -_SUM.size], prompt, completion, reason)
