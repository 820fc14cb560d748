#!/bin/sh
cd "$(dirname "$0")"
: "${PORT:=${1:-8000}}"; export PORT
exec .venv/bin/uvicorn --host 127.0.0.1 --port $PORT --log-level warning app:app
