#!/usr/bin/env bash
# A throw-away PostgreSQL for one command: `tests/debian_postgres.sh COMMAND [ARGUMENT...]` runs it with
# SCHEDULER_TEST_DATABASE_URL set to a superuser of a new cluster, which is stopped and removed whatever happens.
# Its programs are those of PG_BIN, else of /usr/lib/postgresql/15/bin. Exit code 69: there are none. As root the server
# runs as the system user postgres, since PostgreSQL refuses root; the command runs as whoever called.
set -euo pipefail
export PG_BIN=${PG_BIN:-/usr/lib/postgresql/15/bin}
if [ $# -eq 0 ]; then echo "usage: $0 COMMAND [ARGUMENT...]" >&2; exit 2; fi
if [ ! -x "$PG_BIN/initdb" ]; then echo "no PostgreSQL in $PG_BIN" >&2; exit 69; fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/slotsmith-postgres.XXXXXX")
started=
as_server() { if [ "$(id -u)" = 0 ]; then (cd "$folder" && setpriv --reuid postgres --regid postgres --clear-groups "$@"); else "$@"; fi; }
clean_up() {
  trap - EXIT; trap '' INT TERM HUP  # a second signal must not leave the server behind
  if [ -n "$started" ]; then as_server "$PG_BIN/pg_ctl" -D "$folder/files" -m immediate -w stop >/dev/null 2>&1 || true; fi
  rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; fi  # nobody else may pass through it to the socket
as_server "$PG_BIN/initdb" -D "$folder/files" -U tester --auth=trust --encoding=UTF8 --no-locale --no-sync >"$folder.log" 2>&1 \
  || { cat "$folder.log" >&2; rm -f "$folder.log"; exit 1; }
rm -f "$folder.log"
started=1
# Only a socket, so that no port can be taken; safe from nothing, since nothing has to be kept.
as_server "$PG_BIN/pg_ctl" -D "$folder/files" -l "$folder/files/log" -w -o \
  "-k $folder -c listen_addresses= -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" start >/dev/null \
  || { cat "$folder/files/log" >&2; exit 1; }
export SCHEDULER_TEST_DATABASE_URL="postgresql://tester@/postgres?host=$folder"
"$@"
