"""The sampler: psutil, NVML and /proc into one frame a tick."""
