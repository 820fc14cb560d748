#!/bin/sh
command -v php >/dev/null || { echo "php is missing: apt-get install php-cli php-sqlite3"; exit 75; }
