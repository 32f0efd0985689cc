"""Real requests to a service on a host, made on the host itself; runs there under `python3 -`."""

import json
import sys
import threading
import time
import urllib.request

URL, CLIENTS, SECONDS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
BODY = json.dumps(
    {
        "model": "builtin",
        "messages": [{"role": "user", "content": "Once upon a time"}],
        "max_tokens": 40,
    }
).encode()


def client(end: float) -> None:
    """Ask again and again, as a person would who reads fast."""
    while time.monotonic() < end:
        request = urllib.request.Request(
            f"{URL}/v1/chat/completions", BODY, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
        time.sleep(0.4)


threads = [
    threading.Thread(target=client, args=(time.monotonic() + SECONDS,)) for _ in range(CLIENTS)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
