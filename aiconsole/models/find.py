"""What `--model` means: a file on this machine, a name of the catalogue, or the built-in."""

from __future__ import annotations

from pathlib import Path

from aiconsole.bundle.builtin import BUILTIN
from aiconsole.errors import AiconsoleError, ModelError, RefusedError
from aiconsole.models.catalogue import Catalogue, refuse_unusable
from aiconsole.models.version import BUILTIN_NAME, Model, Version


def find_model(given: Path | None, model_name: str = "") -> tuple[Path | None, str]:
    """Find the file of what was given, and the name that clients ask for.

    Whatever has a `/` in it is a path. A word is a name of the catalogue (`NAME` or
    `NAME@DIGEST`); a file of that name counts where the catalogue has none.

    Raises:
        RefusedError: It is neither a file nor a name, or both.
        ModelError: The catalogue's file is gone, changed or damaged.
    """
    if given is None:
        return None, model_name
    text = str(given)
    if "/" in text or text.startswith("~"):
        return given, model_name
    is_file = given.is_file()
    if text == BUILTIN_NAME and not is_file:
        return BUILTIN.path, model_name or BUILTIN_NAME
    catalogue = Catalogue()
    known = any(model.name == text.partition("@")[0] for model in catalogue.models())
    if known and is_file:
        raise RefusedError(
            f"{text} is a name of the catalogue, and a file here too",
            "",
            f"Write the whole path for the file: {given.absolute()}",
        )
    if is_file or (not known and text.endswith(".gguf")):
        return given, model_name
    model, version = _found(catalogue, text, known)
    return refuse_unusable(model, version, catalogue.store), model_name or model.name


def _found(catalogue: Catalogue, text: str, known: bool) -> tuple[Model, Version]:
    try:
        return catalogue.find(text)
    except RefusedError as error:
        if known:
            raise
        raise ModelError(
            f"There is no model {text}",
            "it is neither a file here nor a name in the catalogue"
            + (f"; {error.detail}" if error.detail else ""),
            "See the names: aiconsole models list",
        ) from error


def model_names(begin: str) -> tuple[str, ...]:
    """The names that begin so and that `find_model` knows; none while the index is unreadable."""
    if "/" in begin:
        return ()
    try:
        models = Catalogue().models()
    except AiconsoleError:
        models = ()
    names = (*(model.name for model in models), BUILTIN_NAME)
    return tuple(name for name in names if name.startswith(begin))
