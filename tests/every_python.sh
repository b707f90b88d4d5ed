#!/usr/bin/env bash
# The tests on every Python from 3.11 to 3.14 that this machine has, but for the one of .venv, where `make test` runs.
# Each gets a virtual environment of its own (.venv-3.12, ...), which stays for the next time. One line a version;
# the exit code is 1 if any of them failed. Arguments go to pytest.
set -uo pipefail
cd "$(dirname "$0")/.."

version_of() { "$1" -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

python_for() {  # the first Python of this version that runs and can make virtual environments
  local candidate
  for candidate in $(type -aP "python$1") "$HOME"/.pyenv/versions/*/bin/"python$1"; do
    if [ "$(version_of "$candidate")" = "$1" ]; then echo "$candidate"; return; fi
  done
}

usual=$(version_of .venv/bin/python)
failed=0
missing=()
for version in 3.11 3.12 3.13 3.14; do
  if [ "$version" = "$usual" ]; then echo "$version: skipped, it is that of .venv"; continue; fi
  python=$(python_for "$version")
  if [ -z "$python" ]; then missing+=("$version"); continue; fi
  log=$(mktemp)
  if make --no-print-directory VENV=".venv-$version" PYTHON="$python" venv >"$log" 2>&1 \
    && ".venv-$version/bin/python" -m pytest -q -n 2 "$@" >>"$log" 2>&1; then
    echo "$version: $(tail -n 1 "$log")"
  else
    failed=1
    tail -n 40 "$log"
    echo "$version: FAILED"
  fi
  rm -f "$log"
done
if [ ${#missing[@]} -gt 0 ]; then echo "not found: ${missing[*]}"; fi
exit $failed
