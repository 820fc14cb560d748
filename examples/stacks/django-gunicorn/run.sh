#!/bin/sh
cd "$(dirname "$0")"
: "${PORT:=${1:-8000}}"; export PORT
export DATABASE="${DATABASE:-$(mktemp -d)/rooms.db}"
.venv/bin/python manage.py migrate --verbosity 0 || exit
exec .venv/bin/gunicorn --bind 127.0.0.1:$PORT --workers 2 --threads 4 config.wsgi
