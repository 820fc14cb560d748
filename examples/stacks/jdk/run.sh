#!/bin/sh
J=/usr/share/java
exec java -cp $J/jackson-databind.jar:$J/jackson-core.jar:$J/jackson-annotations.jar "$(dirname "$0")/App.java" "${1:-8000}"
