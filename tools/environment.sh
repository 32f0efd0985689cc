#!/bin/sh
# Builds .venv from uv.lock with what Debian's python3 brings; nothing has to be installed before.
#
#   tools/environment.sh run    what the console needs
#   tools/environment.sh dev    that, the daemon's libraries and the tools of `make check` and `make test`
#
# `make` calls it only when uv.lock or pyproject.toml are newer than its last success.
set -eu
kind=$1
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if command -v "$candidate" >/dev/null && new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    say "aiconsole needs Python 3.11 or newer."
    say "Found: $(python3 --version 2>&1 || true)"
    say "Next: install a newer one and name it, for example: make ${MAKE_GOAL:-up} PYTHON=python3.12"
    exit 1
}

need_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    sudo=
    [ "$(id -u)" = 0 ] || sudo='sudo '
    package=python3-venv
    [ "$1" = python3 ] || package=$1-venv
    say "Debian and Ubuntu ship $1 without its module venv, which is needed once."
    say "Next: ${sudo}apt-get install -y $package"
    exit 1
}

need_git() {
    command -v git >/dev/null && return
    say "aiconsole needs git, which is not installed."
    say "Next: apt-get install -y git (as root)"
    exit 1
}

need_git
# Variables that would send packages elsewhere than into .venv.
unset VIRTUAL_ENV PIP_TARGET PIP_PREFIX PIP_ROOT PIP_NO_BINARY PIP_REQUIRE_HASHES PYTHONHOME PYTHONPATH
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1
export UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never
# Behind a proxy with a certificate of its own, uv needs to be told of it as pip was.
if [ -n "${PIP_CERT:-}" ] && [ -z "${SSL_CERT_FILE:-}" ]; then
    export SSL_CERT_FILE="$PIP_CERT"
fi

if ! new_enough .venv/bin/python; then
    python=$(find_python)
    need_venv "$python"
    say "Making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi

wanted=$(awk '/^name = "uv"$/ { getline; gsub(/[^0-9.]/, ""); print; exit }' uv.lock)
if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$wanted" ]; then
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
    if ! .venv/bin/python -m pip install --quiet --only-binary uv "uv==$wanted"; then
        say "uv $wanted could not be installed: see pip's message above."
        say "Next: check that this machine reaches a package index (PIP_INDEX_URL, HTTPS_PROXY)"
        exit 1
    fi
fi

# --inexact: what a developer added to .venv stays.
case $kind in
    run) .venv/bin/uv sync --frozen --inexact --no-default-groups ;;
    dev) .venv/bin/uv sync --frozen --inexact --all-extras && touch .venv/.dev ;;
esac
touch .venv/.run
