#!/usr/bin/env bash
# Run the tests on each installed Python from 3.11 to 3.14, except the version of .venv, which `make test` uses.
# Each version has its own virtual environment (.venv-3.12, ...), which later runs reuse. The script passes its arguments
# to pytest, prints one line for each version, and exits with 1 if a version failed.
set -uo pipefail
cd "$(dirname "$0")/.."

version_of() { "$1" -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

python_for() {  # print the first Python of a version that can create virtual environments
  local candidate
  for candidate in $(type -aP "python$1") "$HOME"/.pyenv/versions/*/bin/"python$1"; do
    if [ "$(version_of "$candidate")" = "$1" ]; then echo "$candidate"; return; fi
  done
}

usual=$(version_of .venv/bin/python)
failed=0
missing=()
for version in 3.11 3.12 3.13 3.14; do
  if [ "$version" = "$usual" ]; then echo "$version: skipped, .venv has this version"; continue; fi
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
