"""The paths, what each one takes and gives, and how it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiconsole.onhost.inferd.routes.openapi.schemas import ref


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    path: str
    method: str
    name: str
    """Its `operationId`."""
    summary: str
    more: str = ""
    """What else is to be known, in sentences."""
    asks: str = ""
    """Schema of the body; empty for none."""
    gives: str = ""
    """Schema of the answer; empty where it is no JSON."""
    media: str = "application/json"
    streams: bool = False
    """Whether it can answer with events."""
    refusals: tuple[int, ...] = ()
    example: dict[str, Any] | None = None
    status: int = 200


_ASKED = (400, 401, 403, 404, 408, 413, 415, 429, 500, 502, 503, 504)
_LOOKED = (401, 403, 429)
_HI = [{"role": "user", "content": "Say hello."}]

OPERATIONS = (
    Operation(
        "/v1/chat/completions", "post", "chat", "Answer a conversation",
        "OpenAI's chat completions. Fields that are not named here are ignored (`user`, `store`, "
        "`metadata` and others); those that would change the answer and are not supported are "
        "refused: `functions`, `function_call`, `audio`, `modalities`, `prediction`.",
        asks="ChatRequest", gives="ChatAnswer", streams=True, refusals=_ASKED,
        example={"messages": _HI, "max_tokens": 64},
    ),
    Operation(
        "/v1/completions", "post", "completions", "Go on with a text",
        "OpenAI's completions. `echo`, `suffix`, `best_of` and `response_format` are refused.",
        asks="CompletionRequest", gives="CompletionAnswer", streams=True, refusals=_ASKED,
        example={"prompt": "Once upon a time", "max_tokens": 64},
    ),
    Operation(
        "/v1/embeddings", "post", "embeddings", "Make vectors of texts",
        "OpenAI's embeddings. An input that is longer than the engine computes in one go is "
        "refused with `context_length_exceeded`.",
        asks="EmbeddingRequest", gives="EmbeddingAnswer", refusals=_ASKED,
        example={"input": ["first text", "second text"]},
    ),
    Operation(
        "/v1/generate", "post", "generate", "Go on with a text, in a plain shape",
        'As events: `{"text"}` for each piece, then `{"finish_reason", "usage"}`, then `[DONE]`.',
        asks="GenerateRequest", gives="GenerateAnswer", streams=True, refusals=_ASKED,
        example={"prompt": "Once upon a time", "max_new_tokens": 64},
    ),
    Operation(
        "/v1/inference", "post", "inference", "Answer a message, in a plain shape",
        "The input is put to the model as a user's message, in the model's own chat template. "
        "The answer has the shape of `/v1/generate`.",
        asks="InferenceRequest", gives="GenerateAnswer", streams=True, refusals=_ASKED,
        example={"input": "Say hello.", "max_tokens": 64},
    ),
    Operation(
        "/v1/stream", "get", "stream", "Open a WebSocket",
        "A WebSocket (`Upgrade: websocket`). The client sends a `SocketRequest` as one JSON "
        "message: the fields of a chat or a completion. It gets a `SocketMessage` `start`, then "
        "`delta` after `delta`, then `done`, or `error`. Requests are answered one after the "
        "other; one may wait, a further one is told `busy`. `{\"type\": \"cancel\"}` ends the "
        "request at work. A message is no longer than a body may be. The key is looked at when "
        "the connection opens and with each request. On shutdown the answer at work is finished, "
        "and the connection is closed with 1001. Browsers' pages need an origin that the server "
        "allows.",
        status=101, refusals=(400, 401, 403, 426, 503),
    ),
    Operation(
        "/v1/models", "get", "listModels", "The model, under each of its names",
        gives="ModelList", refusals=_LOOKED,
    ),
    Operation(
        "/v1/models/{model}", "get", "retrieveModel", "One model by its name",
        gives="Model", refusals=(401, 403, 404, 429),
    ),
    Operation(
        "/health", "get", "health", "Whether the process lives",
        "200 as long as it can answer at all, also while it shuts down.",
        gives="Health", refusals=(403,),
    ),
    Operation("/health", "post", "healthPost", "The same for those that post", gives="Health",
              refusals=(403,)),
    Operation(
        "/ready", "get", "ready", "Whether requests are welcome",
        "503 with the reason while the model is loading, the engine is stuck, the queue is full, "
        "or the server shuts down.",
        gives="Ready", refusals=(403,),
    ),
    Operation(
        "/metrics", "get", "metrics", "Counters for Prometheus",
        "Without a key only from the server itself.",
        media="text/plain", refusals=_LOOKED,
    ),
    Operation(
        "/metrics/engine", "get", "engineMetrics", "The engine's own counters",
        "Empty where the engine has none; read at most once a second.",
        media="text/plain", refusals=(*_LOOKED, 503),
    ),
    Operation("/openapi.json", "get", "openapi", "This description", refusals=_LOOKED),
    Operation("/docs", "get", "docs", "This description for people", media="text/html",
              refusals=_LOOKED),
)  # fmt: skip

REFUSALS = {
    400: "Something in the request is wrong; `param` names the field.",
    401: "No key, or one that is not known here.",
    403: "The key, the address or the page's origin is not allowed to do this.",
    404: "There is no such path, or another model than the one that is served was asked for.",
    405: "The path does not know this method.",
    408: "The request did not arrive whole in time.",
    409: "The WebSocket has a request at work and one that waits.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    426: "The path wants a WebSocket.",
    429: "Too many requests or tokens; `Retry-After` says when to come back.",
    500: "The server or its engine failed.",
    502: "The provider behind the server failed, or refused the server's own key.",
    503: "Not now: the queue is full, the engine is loading, or the server shuts down.",
    504: "A limit of time was reached.",
}


def described(operation: Operation, *, open_paths: frozenset[str]) -> dict[str, Any]:
    """One operation as OpenAPI has it."""
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": _responses(operation),
    }
    if operation.more:
        found["description"] = operation.more
    if operation.asks:
        media: dict[str, Any] = {"schema": ref(operation.asks)}
        if operation.example:
            media["example"] = operation.example
        found["requestBody"] = {"required": True, "content": {"application/json": media}}
    if "{model}" in operation.path:
        found["parameters"] = [
            {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
        ]
    if operation.path in open_paths:
        found["security"] = []
    return found


def _responses(operation: Operation) -> dict[str, Any]:
    schema = ref(operation.gives) if operation.gives else {}
    good: dict[str, Any] = {"description": "The answer."}
    if operation.status == 101:
        good["description"] = "The connection is a WebSocket from here on."
    else:
        good["content"] = {operation.media: {"schema": schema} if schema else {}}
        good["headers"] = {"x-request-id": {"$ref": "#/components/headers/RequestId"}}
    if operation.streams:
        good["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    found = {str(operation.status): good}
    for status in operation.refusals:
        found[str(status)] = {"$ref": f"#/components/responses/E{status}"}
    if operation.path == "/ready":
        not_ready = {"application/json": {"schema": ref("Ready")}}
        found["503"] = {"description": "Not now, with the reason.", "content": not_ready}
    return found
