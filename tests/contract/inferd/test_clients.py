"""Clients that know nothing of us: OpenAI's own, LangChain's and Hugging Face's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import pytest
from huggingface_hub import InferenceClient
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tests.contract.inferd.running import Running, daemon, settings_text, until
from tests.fixtures.tiny_gguf import TOOL_MARK_TOKEN

NO_KEY = SecretStr("none")
HI: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
MARK: dict[str, int] = {str(TOOL_MARK_TOKEN): 100}


class State(BaseModel):
    """The state of a host."""

    model_config = ConfigDict(extra="forbid")
    up: bool
    level: Literal["low", "high"]


class Weather(BaseModel):
    """Tell the weather of a city."""

    city: Literal["Oslo", "Rome"] = Field(description="Where.")


@pytest.fixture
def api(shared: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{shared.url}/v1", api_key="none", max_retries=0) as api:
        yield api


@pytest.fixture
async def async_api(shared: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    url = f"{shared.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as api:
        yield api


@pytest.fixture
def tool_api(with_tools: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{with_tools.url}/v1", api_key="none", max_retries=0) as api:
        yield api


def test_openai_parses_an_answer_into_a_class(api: openai.OpenAI) -> None:
    answer = api.chat.completions.parse(
        model="tiny", messages=HI, response_format=State, max_tokens=600, temperature=0
    )
    state = answer.choices[0].message.parsed
    assert isinstance(state, State)
    assert state.level in ("low", "high")


def test_openai_streams_an_answer_into_a_class(api: openai.OpenAI) -> None:
    with api.chat.completions.stream(
        model="tiny", messages=HI, response_format=State, max_tokens=600, temperature=0
    ) as stream:
        kinds = {event.type for event in stream}
        state = stream.get_final_completion().choices[0].message.parsed
    assert kinds >= {"content.delta", "content.done"}
    assert isinstance(state, State)


def test_openai_calls_a_tool(tool_api: openai.OpenAI) -> None:
    answer = tool_api.chat.completions.parse(
        model="tiny", messages=HI, tools=[openai.pydantic_function_tool(Weather)],
        tool_choice="required", parallel_tool_calls=False, max_tokens=300, temperature=0,
        stop=["</tool_call>"], logit_bias=MARK,
    )  # fmt: skip
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.function.name == "Weather"
    assert isinstance(call.function.parsed_arguments, Weather)
    assert answer.choices[0].finish_reason == "tool_calls"


def test_openai_puts_the_pieces_of_a_tool_call_together(tool_api: openai.OpenAI) -> None:
    with tool_api.chat.completions.stream(
        model="tiny", messages=HI, tools=[openai.pydantic_function_tool(Weather)],
        tool_choice="required", parallel_tool_calls=False, max_tokens=300, temperature=0,
        stop=["</tool_call>"], logit_bias=MARK,
    ) as stream:  # fmt: skip
        for _ in stream:
            pass
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or []
    assert call.function.name == "Weather"
    assert json.loads(call.function.arguments)["city"] in ("Oslo", "Rome")


def test_openai_reads_the_logprobs_of_a_completion(api: openai.OpenAI) -> None:
    answer = api.completions.create(model="tiny", prompt="hi", max_tokens=4, logprobs=2)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert "".join(logprobs.tokens or ()) == answer.choices[0].text
    assert len(logprobs.top_logprobs or ()) == len(logprobs.token_logprobs or ()) == 4


async def test_openai_without_blocking(async_api: openai.AsyncOpenAI) -> None:
    whole = await async_api.chat.completions.create(
        model="tiny", messages=HI, max_tokens=6, temperature=0, seed=1
    )
    text = ""
    async for chunk in await async_api.chat.completions.create(
        model="tiny", messages=HI, max_tokens=6, temperature=0, seed=1, stream=True
    ):
        text += chunk.choices[0].delta.content or ""
    assert text == whole.choices[0].message.content
    completion = await async_api.completions.create(model="tiny", prompt="hi", max_tokens=3, n=2)
    assert len(completion.choices) == 2
    vectors = await async_api.embeddings.create(model="tiny", input=["a", "b"])
    assert [len(item.embedding) for item in vectors.data] == [128, 128]
    assert [model.id async for model in async_api.models.list()] == ["tiny"]
    assert (await async_api.models.retrieve("tiny")).id == "tiny"


def test_openai_raises_its_own_classes(api: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        api.models.retrieve("other")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        api.embeddings.create(model="other", input="a")
    with pytest.raises(openai.BadRequestError) as bad:
        api.chat.completions.create(model="tiny", messages=HI, temperature=-3)
    assert bad.value.param == "temperature"
    assert bad.value.request_id
    with pytest.raises(openai.BadRequestError) as long:
        api.completions.create(model="tiny", prompt="abc " * 3000)
    assert long.value.code == "context_length_exceeded"


def test_openai_and_a_key(room: Path, tiny_model: Path) -> None:
    key = "ak-" + "k" * 40
    entry = {"id": "1", "label": "ana", "sha256": hashlib.sha256(key.encode()).hexdigest()}
    (room / "keys.json").write_text(json.dumps({"keys": [entry]}))
    auth = f'required = true\nkeys_file = "{room / "keys.json"}"'
    with daemon(room, settings_text(tiny_model, auth=auth)) as running:
        running.until_ready()
        url = f"{running.url}/v1"
        with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as known:
            assert known.embeddings.create(model="tiny", input="a").data
        with openai.OpenAI(base_url=url, api_key="ak-wrong", max_retries=0) as unknown:
            with pytest.raises(openai.AuthenticationError) as refused:
                unknown.chat.completions.create(model="tiny", messages=HI)
            assert refused.value.code == "invalid_api_key"


def _complete_often(api: openai.OpenAI) -> None:
    for _ in range(20):
        api.completions.create(model="tiny", prompt="hi", max_tokens=1)


def test_openai_and_a_rate(room: Path, tiny_model: Path) -> None:
    """It waits as long as it is told, and its own second try gets through."""
    limits = "key_requests_per_minute = 60\nburst_s = 1"
    with daemon(room, settings_text(tiny_model, limits=limits)) as running:
        running.until_ready()
        url = f"{running.url}/v1"
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as hasty:
            with pytest.raises(openai.RateLimitError) as refused:
                _complete_often(hasty)
            assert refused.value.code == "rate_limit_exceeded"
            assert int(refused.value.response.headers["retry-after"]) >= 1
        with openai.OpenAI(base_url=url, api_key="none", max_retries=5) as patient:
            assert patient.completions.create(model="tiny", prompt="hi", max_tokens=1).choices


def test_openai_and_time(room: Path, slow_model: Path) -> None:
    limits = "total_timeout_s = 3\nrunning = 1\nqueue = 0"
    long: dict[str, Any] = {"model": "tiny", "prompt": "hi", "max_tokens": 8000,
                            "extra_body": {"ignore_eos": True}}  # fmt: skip
    with daemon(room, settings_text(slow_model, limits=limits)) as running:
        running.until_ready()
        with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as api:
            with pytest.raises(openai.APITimeoutError):
                api.completions.create(**long, timeout=0.5)
            until(lambda: running.status()["in_flight"] == 0, "its slot", 10)
            with pytest.raises(openai.InternalServerError) as late:
                api.completions.create(**long)
            assert late.value.status_code == 504
            stream = api.completions.create(**long, stream=True)
            with pytest.raises(openai.InternalServerError) as full:
                api.completions.create(**long)
            assert (full.value.status_code, full.value.code) == (503, "queue_full")
            with pytest.raises(openai.APIError) as broken:
                for _ in stream:
                    pass
            assert broken.value.code == "total_timeout"


def _chat(running: Running, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(base_url=f"{running.url}/v1", api_key=NO_KEY, model="tiny", max_retries=0,
                      temperature=0, seed=1, **more)  # fmt: skip


def test_langchain_asks_and_streams(shared: Running) -> None:
    chat = _chat(shared, max_tokens=6)
    answer = chat.invoke([("system", "be brief"), ("human", "hi")])
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 6
    pieces = list(chat.stream([("system", "be brief"), ("human", "hi")]))
    assert "".join(str(piece.content) for piece in pieces) == answer.content
    assert len(pieces) > 3


def test_langchain_in_a_form(shared: Running) -> None:
    chat = _chat(shared, max_tokens=600).with_structured_output(State, method="json_schema")
    assert isinstance(chat.invoke("hi"), State)


def test_langchain_binds_a_tool(with_tools: Running) -> None:
    chat = _chat(with_tools, max_tokens=300, logit_bias=MARK, stop_sequences=["</tool_call>"])
    bound = chat.bind_tools([convert_to_openai_tool(Weather)], tool_choice="Weather",
                            parallel_tool_calls=False)  # fmt: skip
    answer: Any = bound.invoke("hi")
    (call,) = answer.tool_calls
    assert call["name"] == "Weather"
    assert call["args"]["city"] in ("Oslo", "Rome")


def test_langchain_completes(shared: Running) -> None:
    url = f"{shared.url}/v1"
    model = OpenAI(base_url=url, api_key=NO_KEY, model="tiny", max_tokens=6, max_retries=0,
                   temperature=0, seed=1)  # fmt: skip
    text = model.invoke("hi")
    assert len(text) >= 6
    assert "".join(model.stream("hi")) == text
    assert len(model.batch(["hi", "ho", "ha"])) == 3


async def test_langchain_embeds(shared: Running) -> None:
    async with httpx.AsyncClient() as http:
        embeddings = OpenAIEmbeddings(
            base_url=f"{shared.url}/v1", api_key=NO_KEY, model="tiny", max_retries=0,
            chunk_size=7, check_embedding_ctx_length=False, http_async_client=http,
        )  # fmt: skip
        documents = embeddings.embed_documents([f"word {index}" for index in range(20)])
        assert [len(vector) for vector in documents] == [128] * 20
        query = await embeddings.aembed_query("word 19")
        assert query == pytest.approx(documents[19], abs=1e-5)


def test_huggingface_asks_and_streams(shared: Running) -> None:
    client = InferenceClient(base_url=f"{shared.url}/v1", api_key="none", timeout=60)
    messages = [{"role": "user", "content": "hi"}]
    answer = client.chat_completion(messages, model="tiny", max_tokens=6, temperature=0, seed=1)
    text = answer.choices[0].message.content
    assert text
    assert answer.usage.completion_tokens == 6
    stream = client.chat_completion(
        messages, model="tiny", max_tokens=6, temperature=0, seed=1, stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == text
    form: Any = {"type": "json_schema",
                 "json_schema": {"name": "state", "schema": State.model_json_schema()}}  # fmt: skip
    formed = client.chat_completion(
        messages, model="tiny", max_tokens=600, temperature=0, response_format=form
    )
    State.model_validate_json(formed.choices[0].message.content or "")
