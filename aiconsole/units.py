"""Numbers as an operator reads them: three significant digits, a unit, never wider than said."""

from __future__ import annotations

import time

UNKNOWN = "–"
"""Stands where nothing is known; a zero was measured."""

_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_COUNT_UNITS = ("", "k", "M", "G", "T")


def digits(value: float) -> str:
    """Three significant digits without an exponent: `1.23`, `12.3`, `123`, `0`."""
    size = abs(value)
    if size == 0 or size >= 99.95:
        return f"{value:.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    if size >= 0.001:
        return f"{value:.2f}" if size >= 0.01 else f"{value:.3f}"
    return "0"


def percent(value: float | None) -> str:
    """`7 %`, `45 %`, `100 %`; whole numbers, since the last digit would only flicker."""
    return UNKNOWN if value is None else f"{value:.0f} %"


def bytes_text(value: float | None) -> str:
    """`1.23 GB`, in powers of 1000 as disks and networks count."""
    return UNKNOWN if value is None else _scaled(value, _BYTE_UNITS, 1000.0)


def memory_text(value: float | None) -> str:
    """`7.61 GiB`, in powers of 1024 as memory counts."""
    if value is None:
        return UNKNOWN
    return _scaled(value, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"), 1024.0)


def rate_text(bytes_per_s: float | None) -> str:
    """`12.3 MB/s`."""
    return UNKNOWN if bytes_per_s is None else f"{bytes_text(bytes_per_s)}/s"


def count_text(value: float | None) -> str:
    """`950`, `1.23k`, `12.3k`: a count or a rate without a unit."""
    if value is None:
        return UNKNOWN
    return _scaled(value, _COUNT_UNITS, 1000.0).replace(" ", "")


def seconds_text(value: float | None) -> str:
    """A time that was measured: `850 µs`, `12.3 ms`, `1.23 s`, `2 min 05 s`."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0 s"
    if value < 0.0009995:
        return f"{digits(value * 1e6)} µs"
    if value < 0.9995:
        return f"{digits(value * 1e3)} ms"
    if value < 59.95:
        return f"{digits(value)} s"
    return span_text(value)


def span_text(value: float) -> str:
    """A stretch of time: `45 s`, `2 min 05 s`, `3 h 07 min`, `12 d 4 h`."""
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def moment_text(unix_s: object, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time of day here; what is no time, as a host may send it, is unknown."""
    if not isinstance(unix_s, (int, float)) or unix_s <= 0:
        return UNKNOWN
    try:
        return time.strftime(form, time.localtime(unix_s))
    except (OverflowError, ValueError, OSError):
        return UNKNOWN


def age_text(value: float | None) -> str:
    """The age of a reading, at most five columns: `1 s`, `59 s`, `3 min`, `12 h`, `4 d`."""
    if value is None:
        return UNKNOWN
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if value >= size:
            return f"{value // size:.0f} {unit}"
    return f"{int(value)} s"


def _scaled(value: float, units: tuple[str, ...], base: float) -> str:
    size, step = float(value), 0
    # 999.5 would be written as 1000: it belongs to the next unit already.
    while abs(size) >= 999.5 and step < len(units) - 1:
        size /= base
        step += 1
    number = f"{size:.0f}" if step == 0 and size == int(size) else digits(size)
    return f"{number} {units[step]}".rstrip()
