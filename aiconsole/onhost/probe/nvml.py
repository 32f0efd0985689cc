"""Reads the GPUs through NVML; runs in a process of its own, because a sick driver blocks for ever.

A request is a line on stdin, an answer a line of JSON on stdout. It imports little, to stay small.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml

_ECC_EVERY_S = 60.0
_PR_SET_PDEATHSIG = 1

_REASONS = {
    0x001: "idle",
    0x002: "application-clocks",
    0x004: "sw-power-cap",
    0x008: "hw-slowdown",
    0x010: "sync-boost",
    0x020: "sw-thermal",
    0x040: "hw-thermal",
    0x080: "hw-power-brake",
    0x100: "display-clocks",
}

_UNSUPPORTED = {
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_NO_DATA,
}
_GONE = {pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED}


class Device:
    """One GPU behind its handle."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        self._notes: list[str] = []
        self._ecc: int | None = None
        self._ecc_due_s = 0.0
        self._uuid = self._ask("uuid", pynvml.nvmlDeviceGetUUID) or ""
        self._name = self._ask("name", pynvml.nvmlDeviceGetName) or ""

    def read(self) -> dict[str, Any]:
        """The fields of a `GpuReading`, and `notes` on what failed unexpectedly."""
        self._notes = []
        identity = {"index": self._index, "uuid": self._uuid, "name": self._name}
        try:
            values = self._values()
        except pynvml.NVMLError as error:
            return {**identity, "fault": str(error), "notes": []}
        return {**identity, **values, "fault": "", "notes": self._notes}

    def _values(self) -> dict[str, Any]:
        used = self._ask("utilization", pynvml.nvmlDeviceGetUtilizationRates)
        memory = self._ask("memory", _memory)
        power_mw = self._ask("power", pynvml.nvmlDeviceGetPowerUsage)
        limit_mw = self._ask("power limit", pynvml.nvmlDeviceGetEnforcedPowerLimit)
        return {
            "utilization_percent": used.gpu if used else None,
            "memory_total_bytes": memory.total if memory else None,
            "memory_used_bytes": memory.used if memory else None,
            "temperature_c": self._ask("temperature", _temperature),
            "power_w": power_mw / 1000 if power_mw is not None else None,
            "power_limit_w": limit_mw / 1000 if limit_mw is not None else None,
            "sm_clock_mhz": self._ask("clock", _sm_clock),
            "throttle_reasons": reasons(self._ask("throttle reasons", _reason_bits)),
            "ecc_uncorrected": self._ecc_now(),
        }

    def _ecc_now(self) -> int | None:
        if time.monotonic() >= self._ecc_due_s:
            self._ecc = self._ask("ECC", _ecc_uncorrected)
            self._ecc_due_s = time.monotonic() + _ECC_EVERY_S
        return self._ecc

    def _ask(self, what: str, call: Callable[[Any], Any]) -> Any:
        """One call; None where the board has no such thing. A GPU that is gone raises."""
        try:
            return call(self._handle)
        except pynvml.NVMLError as error:
            if error.value in _GONE:
                raise
            if error.value not in _UNSUPPORTED:
                self._notes.append(f"{what}: {error}")
        except UnicodeDecodeError as error:
            self._notes.append(f"{what}: {error.reason}")
        return None


class Board:
    """All GPUs that the driver shows."""

    def __init__(self) -> None:
        self._devices: dict[int, Device] = {}
        pynvml.nvmlInit()

    def read(self) -> dict[str, Any]:
        """An answer with every GPU; one whose handle is refused has only its fault."""
        count = pynvml.nvmlDeviceGetCount()
        gpus = [self._read_one(index) for index in range(count)]
        return {"state": "ok" if gpus else "none", "fault": "", "gpus": gpus}

    def _read_one(self, index: int) -> dict[str, Any]:
        try:
            if index not in self._devices:
                self._devices[index] = Device(index)
        except pynvml.NVMLError as error:
            return {"index": index, "fault": str(error), "notes": []}
        reading = self._devices[index].read()
        if reading["fault"]:
            # The next reading asks for a fresh handle: a reset brings the GPU back.
            del self._devices[index]
        return reading


def _memory(handle: Any) -> Any:
    try:
        # As nvidia-smi counts: what the driver keeps for itself is not in use.
        return pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    except pynvml.NVMLError as error:
        if error.value != pynvml.NVML_ERROR_FUNCTION_NOT_FOUND:
            raise
    return pynvml.nvmlDeviceGetMemoryInfo(handle)


def _temperature(handle: Any) -> int:
    return int(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))


def _sm_clock(handle: Any) -> int:
    return int(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM))


def _ecc_uncorrected(handle: Any) -> int:
    kind, since = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
    return int(pynvml.nvmlDeviceGetTotalEccErrors(handle, kind, since))


def _reason_bits(handle: Any) -> int:
    try:
        return int(pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    except pynvml.NVMLError as error:
        if error.value != pynvml.NVML_ERROR_FUNCTION_NOT_FOUND:
            raise
    # Drivers before 535 know the call by its old name only.
    return int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))


def reasons(bits: int | None) -> list[str] | None:
    """The names of the bits; a bit without one stays visible as a number."""
    if bits is None:
        return None
    names = [name for bit, name in _REASONS.items() if bits & bit]
    unnamed = bits & ~sum(_REASONS)
    return [*names, f"{unnamed:#x}"] if unnamed else names


def without_driver(
    code: int, text: str, pci: Path = Path("/sys/bus/pci/devices")
) -> dict[str, Any]:
    """The answer where NVML cannot start: no GPU at all, or one without a driver."""
    missing = {
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "the driver's library is not installed",
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "the driver is not loaded",
    }
    if code == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        fault = "the driver was updated under the running kernel module: reboot, or reload it"
        return {"state": "fault", "fault": fault, "gpus": []}
    if code not in missing:
        return {"state": "fault", "fault": f"driver error: {text}", "gpus": []}
    if not has_nvidia_gpu(pci):
        return {"state": "none", "fault": "", "gpus": []}
    return {"state": "fault", "fault": f"an NVIDIA GPU is here, {missing[code]}", "gpus": []}


def has_nvidia_gpu(pci: Path) -> bool:
    """True where the PCI bus shows a display or 3D controller of NVIDIA."""
    try:
        for device in pci.iterdir():
            vendor = (device / "vendor").read_text("ascii").strip()
            if vendor == "0x10de" and (device / "class").read_text("ascii").startswith("0x03"):
                return True
    except (OSError, UnicodeError):
        return False
    return False


def serve(parent_pid: int) -> None:
    """Answer until stdin ends; after a failed start of NVML, end: only a new process can retry."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        return
    sys.stdin.readline()
    try:
        board = Board()
    except pynvml.NVMLError as error:
        _answer({**without_driver(error.value, str(error)), "last": True})
        return
    while True:
        try:
            _answer(board.read())
        except pynvml.NVMLError as error:
            _answer({**without_driver(error.value, str(error)), "last": True})
            return
        if not sys.stdin.readline():
            return


def _answer(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
