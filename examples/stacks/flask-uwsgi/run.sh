#!/bin/sh
cd "$(dirname "$0")"
: "${PORT:=${1:-8000}}"; export PORT
export DATABASE="${DATABASE:-$(mktemp -d)/rooms.db}"
exec .venv/bin/uwsgi --http-socket 127.0.0.1:$PORT --master --need-app --die-on-term --module 'app:create_app()' --processes 2 --threads 4 --disable-logging --venv .venv
