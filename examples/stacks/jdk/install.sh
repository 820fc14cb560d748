#!/bin/sh
command -v java >/dev/null || { echo "java is missing: apt-get install openjdk-17-jdk-headless"; exit 75; }
[ -e /usr/share/java/jackson-databind.jar ] || { echo "Jackson is missing: apt-get install libjackson2-databind-java"; exit 75; }
