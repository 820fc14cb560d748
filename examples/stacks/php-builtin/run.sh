#!/bin/sh
cd "$(dirname "$0")"
export DATABASE="${DATABASE:-$(mktemp -d)/rooms.db}" PHP_CLI_SERVER_WORKERS=4
exec php -d display_errors=0 -S "127.0.0.1:${1:-8000}" index.php
