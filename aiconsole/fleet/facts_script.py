"""The script that reads a host: POSIX shell, sent on stdin, needs neither Python nor root.

Each section begins with a line `==name`; a tool that is missing leaves its section empty. Every
command is short, so that a hung mount (df) is cut off by `timeout` where that exists.
"""

from __future__ import annotations

END = "end"
"""The last section: without it the output was cut off."""

SCRIPT = r"""
LC_ALL=C; export LC_ALL
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"; export PATH
has() { command -v "$1" >/dev/null 2>&1; }
if has timeout; then short() { timeout 5 "$@"; }; else short() { "$@"; }; fi
section() { printf '\n==%s\n' "$1"; }

section clock; date +%s.%N
section os; cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release 2>/dev/null
section kernel; uname -r
section machine; uname -m
section hostname; uname -n
section glibc; getconf GNU_LIBC_VERSION 2>/dev/null
section python
for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
  if has "$python"; then
    path=$(command -v "$python")
    short "$path" -I -c 'import sys; print(sys.executable, "%d.%d.%d" % sys.version_info[:3])' \
      2>/dev/null && break
  fi
done
section cpus; getconf _NPROCESSORS_ONLN 2>/dev/null
section cpuflags; grep -m1 -E '^(flags|Features)' /proc/cpuinfo 2>/dev/null
section cpumodel; grep -m1 -E '^model name' /proc/cpuinfo 2>/dev/null
section memory; grep -E '^(MemTotal|MemAvailable):' /proc/meminfo 2>/dev/null
section cgroup
group=$(sed -n 's/^0:://p' /proc/self/cgroup 2>/dev/null)
while :; do
  cat "/sys/fs/cgroup$group/memory.max" 2>/dev/null
  [ -n "$group" ] && [ "$group" != / ] || break
  group=${group%/*}
done
cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null
section systemd
if [ -d /run/systemd/system ]; then
  short systemctl --version 2>/dev/null | head -n 1
  has systemd-creds && printf 'systemd-creds\n'
fi
section user; id -u; id -un; printf '%s\n' "$HOME"
section sudo; command -v sudo
section uptime; cat /proc/uptime 2>/dev/null
section mounts; cat /proc/self/mounts 2>/dev/null
section space
for path in / /opt /opt/aiconsole /var /var/lib/aiconsole /tmp "$HOME"; do
  near=$path
  while [ -n "$near" ] && [ ! -e "$near" ]; do near=${near%/*}; done
  printf 'path %s\n' "$path"
  short df -Pk -- "${near:-/}" 2>/dev/null | tail -n 1
  short df -Pi -- "${near:-/}" 2>/dev/null | tail -n 1
done
section listeners
if has ss; then short ss -Hltnp 2>/dev/null; else
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null; fi
section libgomp
ldconfig -p 2>/dev/null | grep -m1 'libgomp\.so\.1' || \
  ls -d /usr/lib/*/libgomp.so.1 /usr/lib/libgomp.so.1 /usr/lib64/libgomp.so.1 2>/dev/null
section nvidia
cat /proc/driver/nvidia/version 2>/dev/null
[ -e /dev/nvidia0 ] && printf 'device\n'
section end; date +%s.%N
"""
