"""The bar at the top and the bar at the bottom of every screen."""

from __future__ import annotations

from collections.abc import Sequence

from aiconsole.tui.present.bars import KeyHint, TopState, key_bar, top_bar
from aiconsole.tui.widgets.rows import Texts


class TopBar(Texts):
    """Where one is, how the fleet does, what is going on."""

    DEFAULT_CSS = "TopBar { dock: top; height: 1; background: $bar; }"

    def tell(self, state: TopState) -> None:
        """Show the newest state."""
        self.show((top_bar(state, self.size.width),))


class KeyBar(Texts):
    """What the keys do here and now."""

    DEFAULT_CSS = "KeyBar { dock: bottom; height: 1; background: $bar; }"

    def tell(self, hints: Sequence[KeyHint]) -> None:
        """Show the keys."""
        self.show((key_bar(hints, self.size.width),))
