"""The looks: a dark one, a light one, and one in the terminal's own sixteen colours."""

from __future__ import annotations

import os
from collections.abc import Mapping

from textual.theme import BUILTIN_THEMES, Theme

VARIABLES: dict[str, str] = {
    "quiet": "#7d8a94",
    "rule": "#33404a",
    "bar": "#161d23",
    "cursor-back": "#1f3038",
    "cursor-text": "none",
    "alarm-back": "#d9a441",
    "alarm-fore": "#14181c",
    "alarm-text": "bold",
    "strong-text": "bold",
}
"""What the style sheets use beside Textual's own variables, for themes that do not set them."""

DARK = Theme(
    name="dark",
    primary="#5fb3b3",
    secondary="#5fb3b3",
    accent="#5fb3b3",
    foreground="#c5cdd3",
    background="#0f1418",
    surface="#141a1f",
    panel="#1a2228",
    success="#86b96b",
    warning="#dba64a",
    error="#e0675f",
    dark=True,
    variables=VARIABLES,
)

LIGHT = Theme(
    name="light",
    primary="#0f6f78",
    secondary="#0f6f78",
    accent="#0f6f78",
    foreground="#22292e",
    background="#fbfaf7",
    surface="#f3f1ec",
    panel="#eae7e0",
    success="#2f7a2f",
    warning="#97640a",
    error="#b3261e",
    dark=False,
    variables=VARIABLES
    | {
        "quiet": "#6a7378", "rule": "#c9c5bb", "bar": "#eeebe4", "cursor-back": "#d8e8e8",
        "alarm-back": "#b3261e", "alarm-fore": "#ffffff",
    },
)  # fmt: skip

TERMINAL = Theme(
    name="terminal",
    ansi=True,
    primary="ansi_cyan",
    secondary="ansi_cyan",
    accent="ansi_cyan",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    dark=True,
    variables=BUILTIN_THEMES["ansi-dark"].variables
    | VARIABLES
    | {
        "quiet": "ansi_bright_black", "rule": "ansi_bright_black", "bar": "ansi_default",
        "cursor-back": "ansi_default", "cursor-text": "reverse",
        "alarm-back": "ansi_default", "alarm-fore": "ansi_default", "alarm-text": "bold reverse",
        "block-cursor-foreground": "ansi_black", "block-cursor-background": "ansi_cyan",
        "border-blurred": "ansi_bright_black", "input-cursor-text-style": "reverse",
        "input-cursor-background": "ansi_default", "input-cursor-foreground": "ansi_default",
        "input-selection-background": "ansi_cyan", "input-selection-foreground": "ansi_black",
        "scrollbar": "ansi_bright_black", "scrollbar-background": "ansi_default",
        "scrollbar-hover": "ansi_cyan", "scrollbar-active": "ansi_cyan",
        "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default", "scrollbar-corner-color": "ansi_default",
    },
)  # fmt: skip

THEMES = (DARK, LIGHT, TERMINAL)


def theme_names() -> tuple[str, ...]:
    """The console's own themes, then those that come with Textual."""
    own = tuple(look.name for look in THEMES)
    return (*own, *sorted(set(BUILTIN_THEMES) - set(own)))


def fitting_theme(environ: Mapping[str, str] = os.environ) -> str:
    """The theme for this terminal: its own colours where it has few, or where NO_COLOR is set."""
    if "NO_COLOR" in environ:
        return TERMINAL.name
    many = environ.get("COLORTERM", "") in ("truecolor", "24bit")
    term = environ.get("TERM", "")
    if many or "256color" in term or "direct" in term or term in ("xterm-kitty", "alacritty"):
        return DARK.name
    return TERMINAL.name
