#!/bin/sh
# Holds the App backend against the contract; its exit code is Roomhook's. The report is roomhook-report/roomhook-junit.xml.
set -eu
command -v roomhook >/dev/null || pip install roomhook
roomhook check --exec 'python app.py {port}' 'http://127.0.0.1:{port}/callback' --sdkappid 1400000001 --report junit
