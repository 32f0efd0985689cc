"""The plain request of `/v1/generate` and `/v1/inference`, brought into OpenAI's fields."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from aiconsole.onhost.inferd.engine.protocol import Kind
from aiconsole.onhost.inferd.errors import bad_request

PlainRoute: TypeAlias = Literal["generate", "inference"]

_TEXT_FIELDS = ("prompt", "input", "inputs")
_RENAMED = {
    "max_new_tokens": "max_tokens",
    "stop_sequences": "stop",
    "repetition_penalty": "repeat_penalty",
}
_KEPT = (
    "model", "max_tokens", "temperature", "top_p", "top_k", "min_p", "stop", "seed", "stream",
    "presence_penalty", "frequency_penalty", "repeat_penalty", "cache",
)  # fmt: skip


def as_openai(route: PlainRoute, given: dict[str, Any]) -> tuple[Kind, dict[str, Any]]:
    """What the same request is for `/v1/completions` or `/v1/chat/completions`.

    `/v1/generate` has the model go on with the text; `/v1/inference` puts the text to it as a
    user's message, in the model's own template.

    Raises:
        ApiError: 400, no text or more than one.
    """
    body = _flat(given)
    text = _text(given, chat=route == "inference")
    if route == "generate":
        return "text", {**body, "prompt": text}
    if given.get("response_format") is not None:
        body["response_format"] = given["response_format"]
    messages = given["messages"] if text is None else [{"role": "user", "content": text}]
    return "chat", {**body, "messages": messages}


def _flat(given: dict[str, Any]) -> dict[str, Any]:
    """The known fields, those within `parameters` too, under OpenAI's names."""
    nested = given.get("parameters")
    if not isinstance(nested, (dict, type(None))):
        raise bad_request("`parameters` must be an object.", param="parameters")
    found: dict[str, Any] = {}
    for fields in (nested or {}, given):
        for name, value in fields.items():
            known = _RENAMED.get(name, name)
            if known in _KEPT and value is not None:
                found[known] = value
    return found


def _text(given: dict[str, Any], *, chat: bool) -> str | None:
    names = [name for name in _TEXT_FIELDS if given.get(name) is not None]
    if chat and given.get("messages") is not None:
        names.append("messages")
    usual = "input" if chat else "prompt"
    if not names:
        other = " or `messages`" if chat else ""
        raise bad_request(f"`{usual}`{other} is missing.", param=usual, code="missing_field")
    if len(names) > 1:
        raise bad_request(f"`{names[0]}` and `{names[1]}` exclude each other.", param=names[1])
    if names == ["messages"]:
        return None
    text = given[names[0]]
    if not isinstance(text, str):
        raise bad_request(f"`{names[0]}` must be a text.", param=names[0])
    return text
