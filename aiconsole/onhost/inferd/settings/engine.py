"""`[engine]`: what computes the answers."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from aiconsole.onhost.inferd.settings.table import CredentialName, Table


class CommandSettings(Table):
    """`[engine.command]`: an OpenAI-compatible server that the daemon starts and watches.

    The daemon drains before it sends the stop signal, so a server needs no long drain of its own.
    Examples for `argv`:

    - vLLM, with `key_variable = "VLLM_API_KEY"`::

        ["/opt/vllm/bin/vllm", "serve", "{model}", "--served-model-name", "{model_name}",
         "--host", "127.0.0.1", "--port", "{port}", "--max-num-seqs", "{slots}",
         "--max-num-queued-reqs", "64", "--shutdown-timeout", "5"]

      or on a private socket (`transport = "socket"`): `"--uds", "{socket}"` for host and port.
    - SGLang, with `health_path = "/health"` (`/health_generate` computes a token each time)::

        ["/opt/sglang/bin/python", "-m", "sglang.launch_server", "--model-path", "{model}",
         "--served-model-name", "{model_name}", "--host", "127.0.0.1", "--port", "{port}",
         "--max-running-requests", "{slots}", "--enable-metrics"]

    - llama-server, with `key_variable = "LLAMA_API_KEY"` and `progress = true`::

        ["/opt/llama/llama-server", "--model", "{model}", "--alias", "{model_name}",
         "--host", "127.0.0.1", "--port", "{port}", "--parallel", "{slots}", "--metrics"]
    """

    argv: list[str] = Field(min_length=1)
    """Program and arguments. `{port}`, `{socket}`, `{model}`, `{model_name}`, `{context}` and
    `{slots}` stand for what the daemon chose; no shell is involved."""
    transport: Literal["port", "socket"] = "port"
    """Whether it listens on a port of loopback that is free, or on a private UNIX socket."""
    environment: dict[str, str] = {}
    """Variables beside the few that are passed on (`PATH`, `HOME`, `LANG`, `TMPDIR`,
    `CUDA_VISIBLE_DEVICES`); the same names in braces stand for the same. Nothing secret belongs
    here."""
    key_variable: str = Field(default="", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")
    """Environment variable in which it takes its key (`VLLM_API_KEY`), which the daemon makes anew
    for each run; only root and the daemon's own user can read it there. Empty gives it none: then
    every user of the machine can ask a server that listens on a port."""
    working_directory: str = ""
    health_path: str = Field(default="/health", pattern=r"^/")
    """Answers 200 when it is up."""
    metrics_path: str = Field(default="/metrics", pattern=r"^/")
    stop_signal: Literal["SIGTERM", "SIGINT"] = "SIGTERM"
    stop_grace_s: float = Field(default=5.0, ge=0, le=60)
    """How long it may take to end after that signal; then it is killed with all it started."""
    model_name: str = ""
    """What it calls the model; empty is the name that clients use."""
    progress: bool = False
    """Whether it is llama.cpp's, which tells of a prompt that it works on."""

    @model_validator(mode="after")
    def _hears_where_to_listen(self) -> CommandSettings:
        wanted = "{port}" if self.transport == "port" else "{socket}"
        if not any(wanted in text for text in (*self.argv, *self.environment.values())):
            raise ValueError(
                f"{wanted} must be somewhere in argv or environment: the daemon chooses it"
            )
        return self


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

    @field_validator("url")
    @classmethod
    def _has_no_secret_in_it(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no user and password; name a credential instead")
        if not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be the base of an API such as https://api.example.com/v1")
        return url


class EngineSettings(Table):
    """What runs the model; 0 is chosen from the model and the machine."""

    kind: Literal["llama", "command", "remote"] = "llama"
    context_tokens: int = Field(default=0, ge=0, le=10_000_000)
    """Prompt and answer of one request together; 0 is the model's own, at most 8192. Of a
    `command` or a `remote`, 0 leaves the limit to the server."""
    slots: int = Field(default=0, ge=0, le=4096)
    """Requests that are computed together; 0 is 4, for a `command` 32, for a `remote` 64."""
    threads: int = Field(default=0, ge=0, le=512)
    """0 is what affinity and cgroup quota allow."""
    batch_tokens: int = Field(default=256, ge=32, le=8192)
    """Prompt tokens computed in one go; a cancelled prompt is noticed between two of them."""
    binary: str = ""
    """An external llama-server in place of the built-in engine."""
    memory_check: bool = True
    """Refuse a load that the memory of now clearly cannot hold; of the built-in engine alone."""
    load_timeout_s: float = Field(default=900.0, gt=0)
    stall_timeout_s: float = Field(default=60.0, gt=0)
    """Requests at work and no token from any for so long: the engine is started again.
    Three times as long as a batch of a prompt took lately is allowed in any case. Of a `command`
    whose server computes long prompts slowly and tells nothing meanwhile, set it higher. A
    `remote` that sends nothing for so long has broken off."""
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

    @field_validator("remotes")
    @classmethod
    def _names_differ(cls, remotes: list[RemoteSettings]) -> list[RemoteSettings]:
        names = [remote.name for remote in remotes]
        if len(set(names)) < len(names):
            raise ValueError("two of them have the same name")
        return remotes
