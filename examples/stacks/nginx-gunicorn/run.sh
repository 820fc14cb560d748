#!/bin/sh
cd "$(dirname "$0")"
PORT=${1:-8000}; DIR=$(mktemp -d); chmod 755 $DIR
export DATABASE="${DATABASE:-$DIR/rooms.db}"
sed "s|@DIR@|$DIR|g; s|@PORT@|$PORT|" nginx.conf.in > $DIR/nginx.conf
.venv/bin/gunicorn --chdir ../flask-uwsgi --bind unix:$DIR/app.sock --workers 2 --threads 8 'app:create_app()' &
while [ ! -S $DIR/app.sock ]; do sleep 0.1; done
exec nginx -c $DIR/nginx.conf -p $DIR
