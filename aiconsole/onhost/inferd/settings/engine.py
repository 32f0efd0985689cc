"""`[engine]`: what computes the answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiconsole.onhost.inferd.settings.table import CredentialName, Table


class CommandSettings(Table):
    """`[engine.command]`: an OpenAI-compatible server that the daemon starts and watches."""

    argv: list[str] = Field(min_length=1)
    """Program and arguments. `{port}`, `{socket}`, `{model}`, `{model_name}`, `{context}` and
    `{slots}` stand for what the daemon chose; no shell is involved."""
    transport: Literal["port", "socket"] = "port"
    """Whether it listens on a port of loopback that is free, or on a private UNIX socket."""
    environment: dict[str, str] = {}
    """Variables beside the few that are passed on; nothing secret belongs here."""
    key_variable: str = ""
    """Environment variable in which it takes its key (`VLLM_API_KEY`); empty gives it none."""
    working_directory: str = ""
    health_path: str = "/health"
    """Answers 200 when it is up."""
    metrics_path: str = "/metrics"
    stop_signal: Literal["SIGTERM", "SIGINT"] = "SIGTERM"
    model_name: str = ""
    """What it calls the model; empty is the name that clients use."""
    progress: bool = False
    """Whether it knows llama.cpp's `return_progress`."""


class RemoteSettings(Table):
    """`[[engine.remotes]]`: a provider with an OpenAI-compatible API."""

    name: str = Field(min_length=1, max_length=64)
    """What logs and metrics call it."""
    url: str = Field(pattern=r"^https?://[^\s]+$")
    """Base of its API, such as `https://api.example.com/v1`."""
    credential: CredentialName | None = None
    """Name of the credential with its key."""
    model: str = ""
    """What it calls the model; empty is the name that clients use."""
    weight: int = Field(default=1, ge=0, le=1000)
    """Share of the requests among remotes of the same tier; 0 takes it out."""
    tier: int = Field(default=0, ge=0, le=100)
    """Remotes of a higher tier are asked only when none of a lower one answers."""
    ca_file: str = ""
    """Certificates to trust in place of the system's own."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """How it wants the limit of an answer to be called."""


class EngineSettings(Table):
    """What runs the model; 0 is chosen from the model and the machine."""

    kind: Literal["llama", "command", "remote"] = "llama"
    context_tokens: int = Field(default=0, ge=0, le=10_000_000)
    """Prompt and answer of one request together; 0 is the model's own, at most 8192."""
    slots: int = Field(default=0, ge=0, le=4096)
    """Requests that are computed together; 0 is 4, and 64 for a remote."""
    threads: int = Field(default=0, ge=0, le=512)
    """0 is what affinity and cgroup quota allow."""
    batch_tokens: int = Field(default=256, ge=32, le=8192)
    """Prompt tokens computed in one go; a cancelled prompt is noticed between two of them."""
    binary: str = ""
    """An external llama-server in place of the built-in engine."""
    memory_check: bool = True
    """Refuse a load that the memory of now cannot hold."""
    load_timeout_s: float = Field(default=900.0, gt=0)
    stall_timeout_s: float = Field(default=60.0, gt=0)
    """Requests at work and no token from any for so long: the engine is started again.
    Three times as long as a batch of a prompt took lately is allowed in any case."""
    idle_proof_s: float = Field(default=60.0, gt=0)
    """An engine that had nothing to do for so long is asked for one token."""
    command: CommandSettings | None = None
    """Needed by the kind `command`."""
    remotes: list[RemoteSettings] = []
    """At least one for the kind `remote`."""
    remote_attempts: int = Field(default=3, ge=1, le=10)
    """How often a request is tried before its first byte, over all remotes together."""
    breaker_failures: int = Field(default=5, ge=1, le=1000)
    """Failures in a row after which a remote is left alone for a while."""
    breaker_open_s: float = Field(default=30.0, gt=0)
    """For how long."""
