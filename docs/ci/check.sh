#!/bin/sh
# Runs the contract suite against your app and exits with Roomhook's code. Reports: roomhook-report/.
# Replace the address of roomhook by the one you install it from.
set -eu
command -v roomhook >/dev/null || pip install 'git+https://git.example.com/your-team/roomhook.git'
roomhook check --exec 'python app.py {port}' 'http://127.0.0.1:{port}/callback' --sdkappid 1400000001 --report junit,html
