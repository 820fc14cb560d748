#!/bin/sh
exec python3 -c ""
