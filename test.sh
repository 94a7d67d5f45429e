#!/usr/bin/env bash
# Runs every test; with arguments, `tox` with these arguments. Installs what is missing first; on a machine with nothing but a base Debian,
# Ubuntu or Fedora and git.
set -euo pipefail
cd "$(dirname "$0")"
TESTING=yes
. ./bootstrap.sh
# tox tests on every Python that it finds; pyenv shows only those that are switched on
for found in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[1-4].*/bin; do [ -d "$found" ] && PATH=$PATH:$found; done
[ $# -gt 0 ] || set -- run-parallel --parallel 2 --parallel-live
say "running the tests"
exec "$UV" run --frozen --no-sync tox "$@"
