"""A client's JSON checked and made into what the engine is asked; the unknown stays here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiconsole.onhost.inferd.engine.protocol import Ask, Kind, Wish
from aiconsole.onhost.inferd.errors import ApiError, bad_request
from aiconsole.onhost.inferd.request.messages import messages, response_format, tools
from aiconsole.onhost.inferd.request.served import Served

_MAX_CHOICES = 16
_MAX_STOPS = 16
_MAX_LOGPROBS = 20


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
    "logit_bias": lambda value: (
        "" if isinstance(value, (dict, list)) else "must be an object or a list"
    ),
    "ignore_eos": _is(bool, "true or false"),
}
_TEXT_ONLY: dict[str, Callable[[Any], str]] = {
    "logprobs": _whole(0, _MAX_LOGPROBS),
}
_CHAT_ONLY: dict[str, Callable[[Any], str]] = {
    "logprobs": _is(bool, "true or false"),
    "top_logprobs": _whole(0, _MAX_LOGPROBS),
    "response_format": _is(dict, "an object"),
    "tools": _is(list, "a list"),
    "tool_choice": lambda value: (
        "" if isinstance(value, (str, dict)) else "must be a text or an object"
    ),
    "parallel_tool_calls": _is(bool, "true or false"),
    "chat_template_kwargs": _is(dict, "an object"),
}
_CHECKS: dict[Kind, dict[str, Callable[[Any], str]]] = {
    "chat": {**_PASSED_ON, **_CHAT_ONLY},
    "text": {**_PASSED_ON, **_TEXT_ONLY},
}
_REFUSED: dict[Kind, dict[str, tuple[tuple[Any, ...], str]]] = {
    "chat": {
        "functions": (([],), "Use `tools`."),
        "function_call": (("none",), "Use `tool_choice`."),
        "audio": ((), "The answer is text."),
        "modalities": ((["text"],), "The answer is text."),
        "prediction": ((), ""),
    },
    "text": {
        "echo": ((False,), "The prompt is not given back."),
        "suffix": (("",), "The model goes on with the prompt and fills no gap."),
        "best_of": ((1,), "Use `n`, and choose among the answers."),
        "response_format": (({"type": "text"},), "Use /v1/chat/completions."),
    },
}
"""What would change the answer and is not done: the values that ask for nothing, and advice."""


def parse(kind: Kind, given: dict[str, Any], served: Served, context_tokens: int) -> Ask:
    """Check a request.

    Raises:
        ApiError: 400 with the field and what it must be; 404 for another model.
    """
    served.check(given.get("model"))
    body: dict[str, Any] = {"model": served.name}
    if kind == "chat":
        body["messages"] = messages(given)
    else:
        body["prompt"] = _fitting(_prompt(given), context_tokens)
    for name, check in _CHECKS[kind].items():
        value = given.get(name)
        if value is None:
            continue
        if fault := check(value):
            raise bad_request(f"`{name}` {fault}.", param=name)
        body[name] = value
    _refuse_unsupported(kind, given)
    if kind == "chat":
        _settle_chat(body)
    elif body.get("logprobs") == 0:
        body["logprobs"] = 1  # the engine takes 0 for none at all
    if most := _max_tokens(given, context_tokens):
        body["max_tokens"] = most
    stream, include_usage = _streaming(given)
    return Ask(kind, body, stream, include_usage, body.get("n", 1), cache=_cache(given))


def _cache(given: dict[str, Any]) -> Wish:
    value = given.get("cache")
    if not isinstance(value, (bool, type(None))):
        raise bad_request("`cache` must be true or false.", param="cache")
    return "" if value is None else "use" if value else "no-store"


def _fitting(prompt: Any, context_tokens: int) -> Any:
    """A list of token numbers says itself how long it is; texts are measured by the engine."""
    if not isinstance(prompt, list) or not 0 < context_tokens < len(prompt):
        return prompt
    if isinstance(prompt[0], str):
        return prompt
    raise ApiError(
        400,
        f"The prompt has {len(prompt)} tokens, and the context of the model holds"
        f" {context_tokens} for prompt and answer together.",
        code="context_length_exceeded",
        param="prompt",
        extra={"n_prompt_tokens": len(prompt), "n_ctx": context_tokens},
    )


def kind_of(given: dict[str, Any]) -> Kind:
    """Which of the two a request is, where its path does not say so.

    Raises:
        ApiError: 400, both or neither.
    """
    chat, text = (given.get(name) is not None for name in ("messages", "prompt"))
    if chat and text:
        raise bad_request("`messages` and `prompt` exclude each other.", param="prompt")
    if not (chat or text):
        raise bad_request(
            "`messages` or `prompt` is missing.", param="messages", code="missing_field"
        )
    return "chat" if chat else "text"


def _refuse_unsupported(kind: Kind, given: dict[str, Any]) -> None:
    refused = _REFUSED[kind]
    if refused.keys().isdisjoint(given):
        return
    for name, (harmless, advice) in refused.items():
        value = given.get(name)
        if value is None or value in harmless or (name == "best_of" and value == given.get("n")):
            continue
        raise _unsupported(name, advice)


def _unsupported(name: str, advice: str) -> ApiError:
    text = f"`{name}` is not supported. {advice}".strip()
    return bad_request(text, param=name, code="unsupported_parameter")


def _settle_chat(body: dict[str, Any]) -> None:
    """What fields of a chat mean together."""
    if body.get("top_logprobs") and not body.get("logprobs"):
        raise bad_request("`top_logprobs` needs `logprobs`: true.", param="top_logprobs")
    if body.get("logprobs"):
        body["top_logprobs"] = body.get("top_logprobs") or 1  # or the engine sends twenty
    if "tools" in body or "tool_choice" in body:
        chosen = tools(body)
        for name in ("tools", "tool_choice"):
            body.pop(name, None)
        body.update(chosen)
    if "response_format" in body and (form := response_format(body)) is not None:
        body["response_format"] = form
    else:
        body.pop("response_format", None)


def _max_tokens(given: dict[str, Any], context_tokens: int) -> int:
    """The limit of an answer: what the client wants, and never more than the context.

    OpenAI refuses a prompt and a limit that together are more than the context. Here the answer
    just ends where the context does, with `length` as its reason, as it does with llama.cpp:
    clients ask for thousands of tokens to be on the safe side, and few know the context. 0 where
    nobody sets a limit and the context is not known.
    """
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
