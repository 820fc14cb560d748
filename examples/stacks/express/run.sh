#!/bin/sh
cd "$(dirname "$0")"
exec env PORT="${1:-8000}" node app.js
