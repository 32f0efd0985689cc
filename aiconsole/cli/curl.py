"""The line that a person pastes to see the service answer."""

from __future__ import annotations

import json
import shlex

from aiconsole.control.completion import QUESTION
from aiconsole.secret import Secret


def curl_line(url: str, model: str, client_key: Secret | None = None) -> str:
    """Return a shell line that asks the service a question; it shows the key where one is given."""
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    # A certificate names the host, and never the loopback that leads to it.
    here = ["--insecure"] if url.startswith(("https://127.0.0.1:", "https://[::1]:")) else []
    argv = [
        "curl",
        "-sS",
        *here,
        f"{url}/v1/chat/completions",
        "-H",
        "Content-Type: application/json",
    ]
    if client_key:
        argv += ["-H", f"Authorization: Bearer {client_key.reveal()}"]
    return shlex.join([*argv, "-d", json.dumps(body)])
