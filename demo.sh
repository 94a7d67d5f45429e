#!/usr/bin/env bash
# The demonstration: two real hosts, a real guest that moves while it counts, a snapshot, and the shell (not with --no-shell).
set -euo pipefail
cd "$(dirname "$0")"
. ./bootstrap.sh
exec novacron lab demo "$@"
