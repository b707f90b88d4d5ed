#!/usr/bin/env bash
# Run one command with a temporary PostgreSQL: `tests/debian_postgres.sh COMMAND [ARGUMENT...]`. The script creates a
# cluster, sets SCHEDULER_TEST_DATABASE_URL for a superuser of it, and always stops and removes the cluster at the end.
# PG_BIN is the folder of the PostgreSQL programs, /usr/lib/postgresql/15/bin by default; exit code 69 means that the
# folder has none. For root, the server runs as the system user postgres, since PostgreSQL refuses root; the command
# itself runs as root.
set -euo pipefail
export PG_BIN=${PG_BIN:-/usr/lib/postgresql/15/bin}
if [ $# -eq 0 ]; then echo "usage: $0 COMMAND [ARGUMENT...]" >&2; exit 2; fi
if [ ! -x "$PG_BIN/initdb" ]; then echo "no PostgreSQL in $PG_BIN" >&2; exit 69; fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/slotsmith-postgres.XXXXXX")
started=
as_server() { if [ "$(id -u)" = 0 ]; then (cd "$folder" && setpriv --reuid postgres --regid postgres --clear-groups "$@"); else "$@"; fi; }
clean_up() {
  trap - EXIT; trap '' INT TERM HUP  # a second signal must not interrupt the clean-up
  if [ -n "$started" ]; then as_server "$PG_BIN/pg_ctl" -D "$folder/files" -m immediate -w stop >/dev/null 2>&1 || true; fi
  rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; fi  # no other user can reach the socket in this folder
as_server "$PG_BIN/initdb" -D "$folder/files" -U tester --auth=trust --encoding=UTF8 --no-locale --no-sync >"$folder.log" 2>&1 \
  || { cat "$folder.log" >&2; rm -f "$folder.log"; exit 1; }
rm -f "$folder.log"
started=1
# A socket needs no free port. The data need not survive a crash, so fsync and the like are off.
as_server "$PG_BIN/pg_ctl" -D "$folder/files" -l "$folder/files/log" -w -o \
  "-k $folder -c listen_addresses= -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" start >/dev/null \
  || { cat "$folder/files/log" >&2; exit 1; }
export SCHEDULER_TEST_DATABASE_URL="postgresql://tester@/postgres?host=$folder"
"$@"
