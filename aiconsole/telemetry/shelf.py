"""The probe's layers, each built once however many hosts want it."""

from __future__ import annotations

import asyncio

from aiconsole.bundle.layer import Layer, LayerName, build_layer
from aiconsole.bundle.layer_set import PROBE_LAYERS
from aiconsole.bundle.platform import Platform


class Shelf:
    """Builds layers and remembers them for the life of the console."""

    def __init__(self) -> None:
        self._layers: dict[tuple[LayerName, Platform], Layer] = {}
        self._building = asyncio.Lock()

    async def layers(self, platform: Platform) -> tuple[Layer, ...]:
        """The probe's layers for such a host, in the order of `sys.path`.

        Raises:
            BundleError: They cannot be built.
        """
        async with self._building:
            return tuple([await self._layer(name, platform) for name in PROBE_LAYERS])

    async def _layer(self, name: LayerName, platform: Platform) -> Layer:
        key = (name, platform)
        if key not in self._layers or not self._layers[key].archive.exists():
            self._layers[key] = await build_layer(name, platform)
        return self._layers[key]
