"""One request for embeddings: checked, cut into micro-batches, and put together again."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import orjson

from aiconsole.onhost.inferd.errors import ApiError, bad_request
from aiconsole.onhost.inferd.request.served import Served

Encoding: TypeAlias = Literal["float", "base64"]

_MAX_INPUTS = 2048
_MAX_DIMENSIONS = 65536
_BATCH_INPUTS = 32
_BATCH_CHARS = 64 * 1024
"""Characters or tokens of one micro-batch, unless a single input has more."""


class Embedding:
    """What is asked for, and what of it is there."""

    def __init__(self, given: dict[str, Any], served: Served, *, sizes: bool) -> None:
        """Check a request.

        Args:
            given: The client's JSON.
            served: The names of the model.
            sizes: Whether the engine may know other sizes of its vectors than the usual one.

        Raises:
            ApiError: 400 with the field and what it must be; 404 for another model.
        """
        served.check(given.get("model"))
        self._model = served.name
        self._inputs = _inputs(given.get("input"))
        self._encoding: Encoding = _encoding(given.get("encoding_format"))
        self._dimensions = _dimensions(given.get("dimensions"), sizes=sizes)
        self._usual: dict[str, Any] = {
            "model": self._model,
            "encoding_format": self._encoding,
            **({"dimensions": self._dimensions} if self._dimensions else {}),
        }
        self._vectors: list[Any] = []
        self.prompt_tokens = 0

    @property
    def asked(self) -> dict[str, Any]:
        """The whole request in one body."""
        return {**self._usual, "input": self._inputs}

    def bodies(self) -> Iterator[dict[str, Any]]:
        """What the engine is asked, a micro-batch at a time."""
        batch: list[Any] = []
        size = 0
        for item in self._inputs:
            if batch and (len(batch) == _BATCH_INPUTS or size + len(item) > _BATCH_CHARS):
                yield {**self._usual, "input": batch}
                batch, size = [], 0
            batch.append(item)
            size += len(item)
        yield {**self._usual, "input": batch}

    def add(self, body: dict[str, Any], answer: dict[str, Any]) -> None:
        """Take in the engine's answer to one of the bodies.

        Raises:
            ApiError: It is not an answer to that.
        """
        try:
            found = sorted(answer["data"], key=lambda item: item["index"])
            vectors = [self._encoded(item["embedding"]) for item in found]
            self.prompt_tokens += int(answer["usage"]["prompt_tokens"])
        except (KeyError, TypeError, ValueError, struct.error) as error:
            raise _broken("sent no embeddings") from error
        if len(vectors) != len(body["input"]):
            raise _broken(f"sent {len(vectors)} embeddings for {len(body['input'])} inputs")
        self._vectors += vectors

    def as_json(self) -> bytes:
        """The whole answer."""
        data = [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(self._vectors)
        ]
        usage = {"prompt_tokens": self.prompt_tokens, "total_tokens": self.prompt_tokens}
        return orjson.dumps({"object": "list", "data": data, "model": self._model, "usage": usage})

    def _encoded(self, vector: Any) -> Any:
        """A vector as the client wants it, however the engine sent it."""
        packed = base64.b64decode(vector, validate=True) if isinstance(vector, str) else None
        size = len(vector) if packed is None else len(packed) // 4
        if self._dimensions not in (0, size):
            raise bad_request(
                f"This model's embeddings have {size} dimensions and no others.",
                param="dimensions", code="unsupported_parameter",
            )  # fmt: skip
        if self._encoding == "float":
            return vector if packed is None else struct.unpack(f"<{size}f", packed)
        return vector if packed else base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()


def _inputs(given: Any) -> list[Any]:
    """A list of texts, or of lists of tokens."""
    if given is None:
        raise bad_request("`input` is missing.", param="input", code="missing_field")
    items = [given] if isinstance(given, str) else given
    if isinstance(items, list) and items and all(type(item) is int for item in items):
        items = [items]
    if not isinstance(items, list) or not items:
        raise _wrong_input()
    if len(items) > _MAX_INPUTS:
        raise bad_request(f"`input` may hold at most {_MAX_INPUTS} items.", param="input")
    texts = all(isinstance(item, str) for item in items)
    if not texts and not all(_is_tokens(item) for item in items):
        raise _wrong_input()
    if not all(items):
        raise bad_request("`input` must not hold an empty text.", param="input")
    return items


def _is_tokens(item: Any) -> bool:
    return isinstance(item, list) and all(
        type(token) is int and 0 <= token < 2**31 for token in item
    )


def _wrong_input() -> ApiError:
    return bad_request(
        "`input` must be a text, token numbers, or a list of texts or of lists of token numbers.",
        param="input",
    )


def _encoding(given: Any) -> Encoding:
    if given in (None, "float"):
        return "float"
    if given == "base64":
        return "base64"
    raise bad_request("`encoding_format` must be `float` or `base64`.", param="encoding_format")


def _dimensions(given: Any, *, sizes: bool) -> int:
    if given is None:
        return 0
    if type(given) is not int or not 1 <= given <= _MAX_DIMENSIONS:
        raise bad_request(
            f"`dimensions` must be a whole number from 1 to {_MAX_DIMENSIONS}.", param="dimensions"
        )
    if not sizes:
        raise bad_request(
            "`dimensions` is not supported: this engine gives embeddings of the model's own size.",
            param="dimensions", code="unsupported_parameter",
        )  # fmt: skip
    return given


def _broken(what: str) -> ApiError:
    return ApiError(500, f"The engine {what}.", kind="server_error", code="engine_error")
