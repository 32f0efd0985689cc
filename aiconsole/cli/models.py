"""models: the catalogue on this machine: add, list, inspect, verify, roll back, prune, remove."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from aiconsole.cli import models_change as change
from aiconsole.cli import models_look as look
from aiconsole.fleet.host import LOCALHOST
from aiconsole.models.add import Choices
from aiconsole.models.source import parse_source
from aiconsole.onhost.wire import DEFAULT_SLOTS

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="The models on this machine: add, list, inspect, verify, roll back, prune, remove.",
)

Json = Annotated[bool, typer.Option("--json", help="JSON, one object a line.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A name of the catalogue.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all.")]


@app.command()
def add(
    source: Annotated[
        str, typer.Argument(help="A GGUF file, an http(s) address, or hf:org/repo[/file][@rev].")
    ],
    name: Annotated[str, typer.Option(help="Default: the file's, without .gguf.")] = "",
    sha256: Annotated[str, typer.Option(help="Refuse a file of another digest.")] = "",
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Leave the file where it is; it must stay there.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring a model into the catalogue.

    It becomes the current version of its name. A download goes on where it was cut when the
    command is run again. For the Hugging Face hub the token of this machine is used (HF_TOKEN,
    or what `hf auth login` stored), and HF_ENDPOINT.
    """
    choices = Choices(name, sha256.strip().lower(), in_place)
    asyncio.run(change.add(parse_source(source), choices, as_json))


@app.command("list")
def list_models(
    hosts: Annotated[
        list[str] | None, typer.Argument(help="Show what these hosts hold and serve, too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models, and what hosts hold of them.

    Exits 2 where a host is out of reach.
    """
    raise typer.Exit(asyncio.run(look.list_models(hosts or [], as_json)))


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(metavar="NAME|PATH", help="Or NAME@DIGEST, or builtin.")],
    host: Annotated[str, typer.Option(help="Whose memory to compare with.")] = LOCALHOST,
    context: Annotated[int, typer.Option(help="Tokens of one request.", min=0)] = 0,
    slots: Annotated[int, typer.Option(help="Requests that run at once.", min=1)] = DEFAULT_SLOTS,
    template: Annotated[
        bool, typer.Option("--template", help="Show the whole chat template.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what a model is, and the memory it takes.

    Exits 1 where it does not fit the host with the asked or the usual context.
    """
    raise typer.Exit(asyncio.run(look.inspect(model, host, context, slots, template, as_json)))


@app.command()
def verify(
    names: Names = None,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Show instead what the daemons of these hosts found of their files."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read every file again, and compare its digest.

    What is damaged is set aside, so that nothing deploys it. Exits 2 where one is damaged or gone.
    A daemon reads its model's file again by itself, in the background after it started.
    """
    if host:
        if names:
            raise typer.BadParameter("give names or hosts, not both", param_hint="--host")
        raise typer.Exit(asyncio.run(look.verify_hosts(host, as_json)))
    raise typer.Exit(asyncio.run(look.verify(names or [], as_json)))


@app.command()
def rollback(
    name: Name,
    digest: Annotated[str, typer.Argument(help="Default: the version before this one.")] = "",
    as_json: Json = False,
) -> None:
    """Make an earlier version the current one.

    Nothing changes on hosts before the next `aiconsole deploy HOST --model NAME`.
    """
    change.rollback(name, digest, as_json)


@app.command()
def prune(
    names: Names = None,
    keep: Annotated[int, typer.Option(help="Versions of each model that stay.", min=1)] = 2,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove old versions and what is left over.

    Left over are damaged files, files that no model names, and half downloads of a week ago.
    It shows what it would free and asks. A file that was added with --in-place stays.
    """
    asyncio.run(change.prune(names or [], keep, yes, as_json))


@app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME[@DIGEST]", help="A model, or a version.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take a model and its files out of the catalogue.

    Nothing changes on hosts. A file that was added with --in-place stays.
    """
    asyncio.run(change.remove(name, yes, as_json))
