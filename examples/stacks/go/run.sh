#!/bin/sh
exec "$(dirname "$0")/app" -addr "127.0.0.1:${1:-8000}" -sdkappid "${SDKAPPID:-1400000001}"
