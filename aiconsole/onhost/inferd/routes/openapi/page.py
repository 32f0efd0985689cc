"""The same for people: one page without scripts, with nothing fetched from anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from typing import Any

_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}
h2{font-size:1.1rem;margin-top:2.5rem;border-top:1px solid #8886;padding-top:1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{background:#8882;padding:.75rem;overflow-x:auto;border-radius:4px}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #8883}
.method{text-transform:uppercase;font-weight:600}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_TALK = """\
you   {"id": 1, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 64}
it    {"type": "start", "id": 1, "request_id": "...", "model": "...", "created": ...}
it    {"type": "delta", "id": 1, "index": 0, "text": "Hel"}
it    {"type": "delta", "id": 1, "index": 0, "text": "lo."}
it    {"type": "done", "id": 1, "finish_reason": "stop", "choices": [...], "usage": {...}}"""

CSP = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def page(document: dict[str, Any], model: str) -> bytes:
    """The page of a document.

    Args:
        document: OpenAPI.
        model: Name of the model, for the examples.
    """
    parts = [_index(document)]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(document, path, method, operation, model))
    parts.append(_errors(document))
    info = document["info"]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>inferd: {escape(model)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(model)}</h1><p>inferd {escape(info['version'])}. {_told(info['description'])}"
        ' The same as data: <a href="openapi.json">openapi.json</a>.</p>'
        f"{''.join(parts)}</body></html>\n"
    ).encode()


def _index(document: dict[str, Any]) -> str:
    rows = [
        f'<tr><td class=method>{method}<td><a href="#{operation["operationId"]}">'
        f"<code>{escape(path)}</code></a><td>{escape(operation['summary'])}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return f"<table>{''.join(rows)}</table>"


def _operation(
    document: dict[str, Any], path: str, method: str, operation: dict[str, Any], model: str
) -> str:
    parts = [
        f'<h2 id="{operation["operationId"]}"><span class=method>{method}</span> '
        f"<code>{escape(path)}</code></h2><p>{escape(operation['summary'])}. "
        f"{_told(operation.get('description', ''))}</p>"
    ]
    body = operation.get("requestBody")
    talks = path == "/v1/stream"
    schemas = ["SocketRequest", "SocketMessage"] if talks else []
    if body is not None:
        content = body["content"]["application/json"]
        schemas.append(content["schema"]["$ref"].rsplit("/", 1)[1])
        parts.append(_curl(path, {"model": model, **content["example"]}))
    elif talks:
        parts.append(f"<pre>{escape(_TALK)}</pre>")
    else:
        parts.append(f"<pre>{escape(_command(path.replace('{model}', model)))}</pre>")
    parts += [_fields(name, document["components"]["schemas"][name]) for name in schemas]
    return "".join(parts)


def _command(path: str) -> str:
    return f'curl -H "Authorization: Bearer $KEY" "$URL{path}"'


def _curl(path: str, example: dict[str, Any]) -> str:
    # Within the shell's quotes of an example there must be none.
    body = json.dumps(example).replace("'", "\\u0027")
    lines = f"{_command(path)} \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'"
    return f"<pre>{escape(lines)}</pre>"


def _fields(name: str, schema: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{escape(field)}</code>{' *' if field in schema.get('required', ()) else ''}"
        f"<td>{escape(_kind(told))}<td>{_told(told.get('description', ''))}"
        for field, told in schema["properties"].items()
    ]
    told = f"<p>{_told(schema['description'])}</p>" if "description" in schema else ""
    return f"<table><tr><th>{escape(name)}<th><th>* needed{''.join(rows)}</table>{told}"


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_kind, schema["anyOf"])))
    if "const" in schema:
        return json.dumps(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    ends = [schema.get("minimum"), schema.get("maximum")]
    limits = (
        "" if ends == [None, None] else " {}..{}".format(*("" if e is None else e for e in ends))
    )
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    return f"{schema.get('type', 'any')}{limits}"


def _errors(document: dict[str, Any]) -> str:
    rows = [
        f"<tr><td>{name[1:]}<td>{_told(told['description'])}"
        for name, told in document["components"]["responses"].items()
    ]
    return f"<h2 id=errors>Errors</h2><table>{''.join(rows)}</table>"


def _told(text: str) -> str:
    """A description; what stands in backticks is code."""
    pieces = escape(text).split("`")
    return "".join(
        f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces)
    )
