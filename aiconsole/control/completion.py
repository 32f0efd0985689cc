"""A real question to the service, as any client asks it: the proof that it works."""

from __future__ import annotations

from aiconsole.errors import CommandError
from aiconsole.visible import visible

QUESTION = "Is the web server up?"

_TIMEOUT_S = 60.0
_MAX_TOKENS = 64


async def ask_service(url: str, model: str) -> str:
    """Return the model's answer to `QUESTION`, on one line that is safe to print.

    No certificate is looked at: this is the machine's own address, which none names.

    Raises:
        CommandError: Nobody answers there, or not with a completion.
    """
    # Late: one command of many asks, and httpx brings a drawing library where it finds one.
    import httpx

    body = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": _MAX_TOKENS,
    }
    try:
        async with httpx.AsyncClient(
            timeout=_TIMEOUT_S,
            trust_env=False,
            verify=False,  # noqa: S501
        ) as client:
            response = await client.post(f"{url}/v1/chat/completions", json=body)
        response.raise_for_status()
        answer = response.json()["choices"][0]["message"]["content"]
    except (httpx.HTTPError, KeyError, IndexError, TypeError, ValueError) as error:
        raise CommandError(
            f"{url} did not answer a question",
            visible(f"{type(error).__name__}: {error}"),
            "read what inferd says: aiconsole status localhost",
        ) from error
    return visible(str(answer).strip())
