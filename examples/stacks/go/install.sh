#!/bin/sh
command -v go >/dev/null || { echo "go is missing: apt-get install golang-go"; exit 75; }
cd "$(dirname "$0")" && { [ app -nt main.go ] || GOFLAGS=-p=1 go build -o app main.go; }
