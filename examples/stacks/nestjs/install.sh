#!/bin/sh
set -e
cd "$(dirname "$0")"
[ -d node_modules ] || npm install --no-package-lock --no-audit --no-fund --silent
[ dist/main.js -nt src/main.ts ] || npx --no-install tsc -p tsconfig.json
