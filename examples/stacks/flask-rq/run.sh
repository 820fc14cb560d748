#!/bin/sh
# Starts a Redis and a PostgreSQL in a new folder; everything ends with the process group.
cd "$(dirname "$0")"
[ "$(id -u)" != 0 ] || unset TMPDIR # PostgreSQL refuses to run as root, and root's own folder may be closed to others
PORT=${1:-8000}; DIR=$(mktemp -d); PG=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
chmod 777 "$DIR"
as_pg() { "$@"; }
[ "$(id -u)" != 0 ] || as_pg() { setpriv --reuid=postgres --regid=postgres --clear-groups env HOME="$DIR" "$@"; }
as_pg "$PG/initdb" -D "$DIR/pg" -A trust -U postgres --no-sync -E UTF8 --locale=C.UTF-8 >/dev/null || exit 1
redis-server --port 0 --unixsocket "$DIR/redis.sock" --save '' --appendonly no --dir "$DIR" --loglevel warning &
as_pg "$PG/postgres" -D "$DIR/pg" -k "$DIR" -c listen_addresses= -c log_min_messages=error &
export REDIS_URL="unix://$DIR/redis.sock" DATABASE_URL="host=$DIR user=postgres dbname=postgres"
until "$PG/pg_isready" -q -h "$DIR" -U postgres && [ -S "$DIR/redis.sock" ]; do sleep 0.2; done
.venv/bin/python jobs.py || exit 1
for _ in 1 2; do .venv/bin/rq worker --url "$REDIS_URL" --worker-class rq.SimpleWorker --quiet callbacks & done
.venv/bin/gunicorn --bind "127.0.0.1:$PORT" --threads 8 app:app &
trap 'kill $!' TERM INT
wait $!; wait $!
rm -rf "$DIR" 2>/dev/null || { sleep 2; rm -rf "$DIR"; } # PostgreSQL may still be writing
