#!/bin/sh
cd "$(dirname "$0")"
: "${PORT:=${1:-8000}}"; export PORT
exec .venv/bin/python app.py $PORT
