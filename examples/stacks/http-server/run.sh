#!/bin/sh
exec python3 "$(dirname "$0")/app.py" "${1:-8000}"
