"""A client's JSON checked and made into what the engine is asked; the unknown stays here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiconsole.onhost.inferd.engine.protocol import Ask, Kind
from aiconsole.onhost.inferd.errors import bad_request
from aiconsole.onhost.inferd.served import Served

_MAX_CHOICES = 16
_MAX_STOPS = 16


def _number(low: float, high: float) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        good = type(value) in (int, float) and low <= value <= high
        return "" if good else f"must be a number from {low:g} to {high:g}"

    return check


def _whole(low: int, high: int) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        good = type(value) is int and low <= value <= high
        return "" if good else f"must be a whole number from {low} to {high}"

    return check


def _is(kind: type, name: str) -> Callable[[Any], str]:
    return lambda value: "" if isinstance(value, kind) else f"must be {name}"


def _stop(value: Any) -> str:
    stops = value if isinstance(value, list) else [value]
    good = len(stops) <= _MAX_STOPS and all(isinstance(stop, str) for stop in stops)
    return "" if good else f"must be a text or a list of at most {_MAX_STOPS} texts"


def _logprobs(value: Any) -> str:
    good = isinstance(value, bool) or (type(value) is int and 0 <= value <= 20)
    return "" if good else "must be true, false, or a whole number from 0 to 20"


_PASSED_ON: dict[str, Callable[[Any], str]] = {
    "temperature": _number(0, 100),
    "top_p": _number(0, 1),
    "min_p": _number(0, 1),
    "top_k": _whole(-1, 1_000_000),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "repeat_penalty": _number(0, 10),
    "seed": _whole(-(2**63), 2**63 - 1),
    "stop": _stop,
    "n": _whole(1, _MAX_CHOICES),
    "logprobs": _logprobs,
    "top_logprobs": _whole(0, 20),
    "logit_bias": lambda value: (
        "" if isinstance(value, (dict, list)) else "must be an object or a list"
    ),
    "ignore_eos": _is(bool, "true or false"),
    "response_format": _is(dict, "an object"),
}
_CHAT_ONLY: dict[str, Callable[[Any], str]] = {
    "tools": _is(list, "a list"),
    "tool_choice": lambda value: (
        "" if isinstance(value, (str, dict)) else "must be a text or an object"
    ),
    "parallel_tool_calls": _is(bool, "true or false"),
    "chat_template_kwargs": _is(dict, "an object"),
}


def parse(kind: Kind, given: dict[str, Any], served: Served, context_tokens: int) -> Ask:
    """Check a request.

    Raises:
        ApiError: 400 with the field and what it must be; 404 for another model.
    """
    served.check(given.get("model"))
    body: dict[str, Any] = {"model": served.name}
    if kind == "chat":
        body["messages"] = _messages(given)
    else:
        body["prompt"] = _prompt(given)
    checks = {**_PASSED_ON, **_CHAT_ONLY} if kind == "chat" else _PASSED_ON
    for name, check in checks.items():
        value = given.get(name)
        if value is None:
            continue
        if fault := check(value):
            raise bad_request(f"`{name}` {fault}.", param=name)
        body[name] = value
    if most := _max_tokens(given, context_tokens):
        body["max_tokens"] = most
    stream, include_usage = _streaming(given)
    return Ask(kind, body, stream, include_usage, body.get("n", 1))


def _max_tokens(given: dict[str, Any], context_tokens: int) -> int:
    """The limit of the answer; 0 where nobody sets one and the context is not known."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = given.get(name)
        if value is None:
            continue
        if type(value) is not int or value < 1:
            raise bad_request(f"`{name}` must be a whole number of at least 1.", param=name)
        return min(value, context_tokens) if context_tokens else value
    return context_tokens


def _streaming(given: dict[str, Any]) -> tuple[bool, bool]:
    stream, options = given.get("stream"), given.get("stream_options")
    if not isinstance(stream, (bool, type(None))):
        raise bad_request("`stream` must be true or false.", param="stream")
    if options is None:
        return bool(stream), False
    include = options.get("include_usage") if isinstance(options, dict) else "wrong"
    if not isinstance(include, (bool, type(None))):
        raise bad_request(
            '`stream_options` must be an object such as {"include_usage": true}.',
            param="stream_options",
        )
    return bool(stream), bool(include)


def _messages(given: dict[str, Any]) -> list[Any]:
    messages = given.get("messages")
    if messages is None:
        raise bad_request("`messages` is missing.", param="messages", code="missing_field")
    if not isinstance(messages, list) or not messages:
        raise bad_request("`messages` must be a list of at least one message.", param="messages")
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")
    return messages


def _check_message(message: Any, where: str) -> None:
    if not isinstance(message, dict):
        raise bad_request(f"`{where}` must be an object.", param=where)
    if not isinstance(message.get("role"), str):
        raise bad_request(f"`{where}.role` must be a text.", param=f"{where}.role")
    content = message.get("content")
    if content is None and (message.get("tool_calls") or message.get("role") == "assistant"):
        return
    if isinstance(content, list):
        for part in content:
            # Pictures and sounds would make the engine open what they point at.
            good = isinstance(part, dict) and part.get("type") == "text"
            if not good or not isinstance(part.get("text"), str):
                raise bad_request(
                    f"`{where}.content` may hold text only.", param=f"{where}.content"
                )
    elif not isinstance(content, str):
        raise bad_request(f"`{where}.content` must be a text.", param=f"{where}.content")


def _prompt(given: dict[str, Any]) -> Any:
    prompt = given.get("prompt")
    if prompt is None:
        raise bad_request("`prompt` is missing.", param="prompt", code="missing_field")
    fault = bad_request(
        "`prompt` must be a text, a list of texts, or a list of token numbers.", param="prompt"
    )
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt, list) or not prompt:
        raise fault
    texts = all(isinstance(item, str) for item in prompt)
    tokens = all(type(item) is int and 0 <= item < 2**31 for item in prompt)
    if not (tokens or texts):
        raise fault
    if texts and len(prompt) > _MAX_CHOICES:
        raise bad_request(f"`prompt` may hold at most {_MAX_CHOICES} texts.", param="prompt")
    return prompt
