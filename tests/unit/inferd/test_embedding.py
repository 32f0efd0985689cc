"""One request for embeddings, cut up and put together, whatever the engine sends."""

from __future__ import annotations

import base64
import struct
from typing import Any

import orjson
import pytest

from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.request.embedding import Embedding
from aiconsole.onhost.inferd.request.served import Served

SERVED = Served("m")


def _embedding(given: Any, *, sizes: bool = False, **more: Any) -> Embedding:
    return Embedding({"input": given, **more}, SERVED, sizes=sizes)


def _packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def _answer(*vectors: Any, tokens: int = 1) -> dict[str, Any]:
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"data": data, "usage": {"prompt_tokens": tokens}}


def _whole(embedding: Embedding) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(embedding.as_json())
    return found


def test_micro_batches_are_bounded_in_number_and_length() -> None:
    many = [body["input"] for body in _embedding(["a"] * 70).bodies()]
    assert [len(batch) for batch in many] == [32, 32, 6]
    long = [body["input"] for body in _embedding(["a" * 30_000] * 5).bodies()]
    assert [len(batch) for batch in long] == [2, 2, 1]
    huge = [body["input"] for body in _embedding(["a" * 100_000, "b"]).bodies()]
    assert [len(batch) for batch in huge] == [1, 1]
    tokens = [body["input"] for body in _embedding([[1] * 40_000, [2] * 40_000]).bodies()]
    assert [len(batch) for batch in tokens] == [1, 1]


def test_tokens_and_texts_become_lists() -> None:
    assert next(_embedding("a").bodies())["input"] == ["a"]
    assert next(_embedding([1, 2]).bodies())["input"] == [[1, 2]]
    assert next(_embedding([[1], [2]]).bodies())["input"] == [[1], [2]]


@pytest.mark.parametrize("sent", [[1.0, -2.5], _packed(1.0, -2.5)], ids=["floats", "packed"])
def test_the_client_gets_its_encoding_whatever_the_engine_sends(sent: Any) -> None:
    for encoding, wanted in (("float", [1.0, -2.5]), ("base64", _packed(1.0, -2.5))):
        embedding = _embedding("a", encoding_format=encoding)
        (body,) = embedding.bodies()
        assert body["encoding_format"] == encoding
        embedding.add(body, _answer(sent))
        assert _whole(embedding)["data"] == [
            {"object": "embedding", "index": 0, "embedding": wanted}
        ]


def test_order_is_that_of_the_inputs_and_tokens_are_summed() -> None:
    embedding = _embedding([str(number) for number in range(40)])
    for body in embedding.bodies():
        answer = _answer(*[[float(text)] for text in body["input"]], tokens=len(body["input"]))
        answer["data"].reverse()
        embedding.add(body, answer)
    found = _whole(embedding)
    assert [item["embedding"] for item in found["data"]] == [[float(n)] for n in range(40)]
    assert [item["index"] for item in found["data"]] == list(range(40))
    assert found["usage"] == {"prompt_tokens": 40, "total_tokens": 40}


@pytest.mark.parametrize(
    "answer",
    [
        {}, {"data": None}, _answer(), _answer([1.0], [2.0]), _answer("%%%"), _answer(None),
        _answer("AAA="), {"data": [{"index": 0, "embedding": [1.0]}]},
    ],
)  # fmt: skip
def test_an_engine_that_talks_nonsense_is_to_blame(answer: Any) -> None:
    embedding = _embedding("a", encoding_format="float")
    with pytest.raises(ApiError) as broken:
        embedding.add(next(embedding.bodies()), answer)
    assert (broken.value.status, broken.value.code) == (500, "engine_error")


def test_dimensions() -> None:
    with pytest.raises(ApiError) as refused:
        _embedding("a", dimensions=2)
    assert refused.value.code == "unsupported_parameter"
    embedding = _embedding("a", dimensions=2, sizes=True)
    (body,) = embedding.bodies()
    assert body["dimensions"] == 2
    embedding.add(body, _answer([1.0, 2.0]))
    with pytest.raises(ApiError) as ignored:  # by an engine that knows but one size
        embedding.add(body, _answer([1.0, 2.0, 3.0]))
    assert (ignored.value.status, ignored.value.param) == (400, "dimensions")
