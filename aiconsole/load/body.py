"""The body of one request, as each endpoint wants it."""

from __future__ import annotations

import json
from typing import Any

from aiconsole.load.prompts import prompt_of
from aiconsole.load.spec import Prompt, Spec


def body_of(spec: Spec, number: int) -> bytes:
    """JSON of a request, by its number."""
    shape = spec.shape
    prompt = prompt_of(shape, number)
    body: dict[str, Any] = {"model": shape.model} if shape.model else {}
    body |= _asked(spec, prompt)
    if shape.endpoint == "embeddings":
        return json.dumps(body).encode()
    body["max_tokens"] = prompt.max_tokens or shape.max_tokens
    if shape.temperature is not None:
        body["temperature"] = shape.temperature
    if shape.ignore_eos:
        body["ignore_eos"] = True
    if spec.streams:
        body["stream"] = True
        if shape.endpoint != "generate":
            body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


def _asked(spec: Spec, prompt: Prompt) -> dict[str, Any]:
    text = prompt.text
    match spec.shape.endpoint:
        case "chat":
            return {"messages": prompt.messages or [{"role": "user", "content": text}]}
        case "embeddings":
            return {"input": text}
        case "completions" | "generate":
            return {"prompt": text}
