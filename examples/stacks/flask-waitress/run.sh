#!/bin/sh
cd "$(dirname "$0")"
: "${PORT:=${1:-8000}}"; export PORT
exec .venv/bin/waitress-serve --listen 127.0.0.1:$PORT --threads 8 app:app
