#!/bin/sh
set -e
cd "$(dirname "$0")"
PG=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
command -v redis-server >/dev/null && [ -x "$PG/initdb" ] || { echo "redis-server or postgresql is missing: apt-get install redis-server postgresql"; exit 75; }
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install -q -r requirements.txt
