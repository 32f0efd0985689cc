"""Which layers make up what runs on a host, in the order of `sys.path`."""

from __future__ import annotations

from aiconsole.bundle.layer import LayerName

SERVICE_LAYERS: tuple[LayerName, ...] = ("code", "gateway", "engine")
"""What inferd needs; only `code` changes with aiconsole itself."""

GATEWAY_LAYERS: tuple[LayerName, ...] = ("code", "gateway")
"""What inferd needs where another machine computes."""

PROBE_LAYERS: tuple[LayerName, ...] = ("code", "probe")
"""What the probe needs."""
