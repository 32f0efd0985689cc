"""The JSON that goes in and out."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def text(description: str = "", **more: Any) -> Schema:
    """A text."""
    return _typed("string", description, more)


def whole(description: str = "", **more: Any) -> Schema:
    """A whole number."""
    return _typed("integer", description, more)


def number(description: str = "", **more: Any) -> Schema:
    """A number."""
    return _typed("number", description, more)


def flag(description: str = "", **more: Any) -> Schema:
    """True or false."""
    return _typed("boolean", description, more)


def listed(items: Schema, description: str = "", **more: Any) -> Schema:
    """A list."""
    return _typed("array", description, {"items": items, **more})


def thing(properties: dict[str, Schema], required: str = "", **more: Any) -> Schema:
    """An object; `required` is the names, with blanks between them."""
    return _typed("object", "", {"properties": properties, "required": required.split(), **more})


def _typed(kind: str, description: str, more: dict[str, Any]) -> Schema:
    told = {"description": description} if description else {}
    return {"type": kind, **told, **{key: value for key, value in more.items() if value != []}}


def _either(*kinds: Schema, description: str = "") -> Schema:
    return {"anyOf": list(kinds), **({"description": description} if description else {})}


_STOP = _either(
    text(), listed(text(), maxItems=16), description="Texts that end the answer and are not in it."
)
_SAMPLING: dict[str, Schema] = {
    "temperature": number(minimum=0, maximum=100),
    "top_p": number(minimum=0, maximum=1),
    "min_p": number(minimum=0, maximum=1),
    "top_k": whole(minimum=-1),
    "presence_penalty": number(minimum=-2, maximum=2),
    "frequency_penalty": number(minimum=-2, maximum=2),
    "repeat_penalty": number(minimum=0, maximum=10),
    "seed": whole("The same seed and request give the same answer."),
    "stop": _STOP,
    "max_tokens": whole("Held to what the context has room for.", minimum=1),
    "cache": flag(
        "True: an answer that was given before will do, whatever the temperature. "
        "False: only a new one will. Left out: a kept one will do at temperature 0."
    ),
}
_ASKED: dict[str, Schema] = {
    "model": text("Name or alias of the model that is served; left out, it is that model."),
    **_SAMPLING,
    "max_completion_tokens": whole("The same as `max_tokens`.", minimum=1),
    "n": whole("Answers to each prompt.", minimum=1, maximum=16),
    "logit_bias": _either({"type": "object"}, {"type": "array"}),
    "ignore_eos": flag("Go on to `max_tokens` whatever the model says."),
    "stream": flag("Send the answer as server-sent events while it is made.", default=False),
    "stream_options": thing({"include_usage": flag("A last event with the count of tokens.")}),
}
_FORM = _either(
    thing({"type": {"const": "text"}}, "type"),
    thing({"type": {"const": "json_object"}}, "type"),
    thing(
        {
            "type": {"const": "json_schema"},
            "json_schema": thing({"name": text(), "schema": {"type": "object"}}, "schema"),
        },
        "type json_schema",
    ),
    description="The answer is held to it, token by token.",
)
_MESSAGE = thing(
    {
        "role": text("`developer` is the same as `system`.", examples=["user"]),
        "content": _either(
            text(),
            listed(thing({"type": {"const": "text"}, "text": text()}, "type text")),
            {"type": "null"},
        ),
        "tool_calls": listed(ref("ToolCall")),
        "tool_call_id": text("Of a message of the role `tool`."),
    },
    "role",
)
_TOOL = thing(
    {
        "type": {"const": "function"},
        "function": thing(
            {"name": text(), "description": text(), "parameters": {"type": "object"}}, "name"
        ),
    },
    "type function",
)
_TOOL_CALL = thing(
    {
        "id": text(),
        "type": {"const": "function"},
        "function": thing({"name": text(), "arguments": text("JSON")}, "name arguments"),
    },
    "id type function",
)
_USAGE = thing(
    {"prompt_tokens": whole(), "completion_tokens": whole(), "total_tokens": whole()},
    "prompt_tokens completion_tokens total_tokens",
)
_FINISH = _either(
    text(enum=["stop", "length", "tool_calls"]), {"type": "null"}, description="Why it ended."
)
_HEAD: dict[str, Schema] = {
    "id": text(), "object": text(), "created": whole("Unix time in s."), "model": text(),
}  # fmt: skip
_TOKENS = _either(text(), listed(text()), listed(whole(minimum=0)))
_PLAIN: dict[str, Schema] = {
    "model": _ASKED["model"],
    **_SAMPLING,
    "max_new_tokens": whole("The same as `max_tokens`.", minimum=1),
    "stop_sequences": listed(text(), "The same as `stop`."),
    "repetition_penalty": number("The same as `repeat_penalty`.", minimum=0, maximum=10),
    "stream": _ASKED["stream"],
    "parameters": {"type": "object", "description": "The same fields may stand in here."},
}

SCHEMAS: dict[str, Schema] = {
    "ChatRequest": thing(
        {
            **_ASKED,
            "messages": listed(ref("Message"), minItems=1),
            "tools": listed(ref("Tool"), "Functions that the model may call."),
            "tool_choice": _either(text(enum=["none", "auto", "required"]), {"type": "object"}),
            "parallel_tool_calls": flag(),
            "response_format": _FORM,
            "logprobs": flag(),
            "top_logprobs": whole("Needs `logprobs`.", minimum=0, maximum=20),
            "chat_template_kwargs": {"type": "object"},
        },
        "messages",
    ),
    "Message": _MESSAGE,
    "Tool": _TOOL,
    "ToolCall": _TOOL_CALL,
    "ChatAnswer": thing(
        {
            **_HEAD,
            "choices": listed(
                thing(
                    {
                        "index": whole(), "message": ref("Message"), "finish_reason": _FINISH,
                        "logprobs": {"type": ["object", "null"]},
                    },
                    "index message finish_reason",
                )
            ),
            "usage": ref("Usage"),
        },
        "id object created model choices usage",
    ),
    "CompletionRequest": thing(
        {
            **_ASKED,
            "prompt": {**_TOKENS, "description": "A text, up to 16 texts, or token numbers."},
            "logprobs": whole("Alternatives for each token.", minimum=0, maximum=20),
        },
        "prompt",
    ),
    "CompletionAnswer": thing(
        {
            **_HEAD,
            "choices": listed(
                thing(
                    {
                        "index": whole(), "text": text(), "finish_reason": _FINISH,
                        "logprobs": {"type": ["object", "null"]},
                    },
                    "index text finish_reason",
                )
            ),
            "usage": ref("Usage"),
        },
        "id object created model choices usage",
    ),
    "EmbeddingRequest": thing(
        {
            "model": _ASKED["model"],
            "input": _either(
                text(), listed(text()), listed(whole(minimum=0)), listed(listed(whole(minimum=0))),
                description="A text, token numbers, or up to 2048 of either. Lists are computed "
                "in micro-batches; their order is kept.",
            ),
            "encoding_format": text(
                "`base64` is float32, lowest byte first.", enum=["float", "base64"], default="float"
            ),
            "dimensions": whole("Only where the engine knows other sizes.", minimum=1),
        },
        "input",
    ),
    "EmbeddingAnswer": thing(
        {
            "object": {"const": "list"},
            "model": text(),
            "data": listed(
                thing(
                    {
                        "object": {"const": "embedding"}, "index": whole(),
                        "embedding": _either(listed(number()), text("base64")),
                    },
                    "object index embedding",
                )
            ),
            "usage": thing({"prompt_tokens": whole(), "total_tokens": whole()}),
        },
        "object model data usage",
    ),
    "GenerateRequest": thing(
        {
            "prompt": text("What the model goes on with. Also called `input` or `inputs`."),
            **_PLAIN,
        },
    ),
    "InferenceRequest": thing(
        {
            "input": text("A user's message. Also called `prompt` or `inputs`."),
            "messages": listed(ref("Message"), "In place of `input`.", minItems=1),
            "response_format": _FORM,
            **_PLAIN,
        },
    ),
    "GenerateAnswer": thing(
        {**_HEAD, "text": text(), "finish_reason": _FINISH, "usage": ref("Usage")},
        "id object created model text finish_reason usage",
    ),
    "SocketRequest": thing(
        {
            "type": text("`cancel` ends the request at work.", enum=["request", "cancel"]),
            "id": _either(text(maxLength=128), whole(), description="Given back in the answer."),
        },
        description="Beside these: the fields of a chat (`messages`) or a completion (`prompt`).",
    ),
    "SocketMessage": thing(
        {
            "type": text(enum=["start", "delta", "done", "error"]),
            "id": _either(text(), whole(), {"type": "null"}),
            "request_id": text("In `start` and `error`."),
            "model": text("In `start`."),
            "created": whole("In `start`."),
            "index": whole("In `delta`: which answer of several."),
            "text": text("In `delta`."),
            "tool_calls": listed({"type": "object"}, "In `delta`."),
            "finish_reason": text("In `done`; `cancelled` after a cancel."),
            "choices": listed({"type": "object"}, "In `done`: why each answer ended."),
            "usage": ref("Usage"),
            "status": whole("In `error`: what it would be over HTTP."),
            "error": {"type": "object"},
        },
        "type id",
    ),
    "Usage": _USAGE,
    "Model": thing(
        {
            "id": text(), "object": {"const": "model"}, "created": whole(), "owned_by": text(),
            "meta": thing(
                {"sha256": text(), "size_bytes": whole(), "context_tokens": whole()}
            ),
        },
        "id object created owned_by",
    ),
    "ModelList": thing({"object": {"const": "list"}, "data": listed(ref("Model"))}, "object data"),
    "Health": thing(
        {
            "status": {"const": "ok"}, "instance": text(), "version": text(), "slot": text(),
            "release": text(), "state": text(),
        },
        "status instance version slot release state",
    ),
    "Ready": thing(
        {
            "ready": flag(), "reason": text("Empty, or what a program can act on."),
            "detail": text("The same for people."),
        },
        "ready reason detail",
    ),
    "Error": thing(
        {
            "error": thing(
                {
                    "message": text(), "type": text(), "code": text("What a program can act on."),
                    "param": _either(text(), {"type": "null"}, description="The field at fault."),
                },
                "message type code param",
            )
        },
        "error",
    ),
}  # fmt: skip
