"""The OpenAPI document, put together once."""

from __future__ import annotations

from typing import Any

from aiconsole.onhost.inferd.routes.openapi.paths import OPERATIONS, REFUSALS, described
from aiconsole.onhost.inferd.routes.openapi.schemas import SCHEMAS, ref

_ABOUT = (
    "One language model behind an API that clients of OpenAI's speak. Every answer carries "
    "`x-request-id`; a harmless one of the client's is kept. Errors have OpenAI's shape."
)


def document(version: str, *, keys_required: bool, open_paths: frozenset[str]) -> dict[str, Any]:
    """The whole of it.

    Args:
        version: Of the daemon.
        keys_required: Whether clients need a key.
        open_paths: Paths that are answered without one in any case.
    """
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        methods = paths.setdefault(operation.path, {})
        methods[operation.method] = described(operation, open_paths=open_paths)
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "inferd", "version": version, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "responses": {f"E{status}": _refusal(status) for status in REFUSALS},
            "headers": {
                "RequestId": {"description": "Id in the logs.", "schema": {"type": "string"}}
            },
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`Authorization: Bearer ak-...`, or a signed token where "
                    "the server accepts those.",
                }
            },
        },
    }
    # An empty one beside it says that it goes without a key, too.
    found["security"] = [{"key": []}] if keys_required else [{"key": []}, {}]
    return found


def _refusal(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": REFUSALS[status],
        "content": {"application/json": {"schema": ref("Error")}},
    }
    if status in (429, 503):
        answer["headers"] = {
            "retry-after": {"description": "Seconds.", "schema": {"type": "integer"}}
        }
    return answer
