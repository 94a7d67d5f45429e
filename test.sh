#!/usr/bin/env bash
# Runs every test. Installs what is missing first; on a machine with nothing but a base Debian, Ubuntu or Fedora and git.
set -euo pipefail
cd "$(dirname "$0")"
. ./bootstrap.sh
say "running the tests"
exec "$UV" run --frozen --no-sync tox "$@"
