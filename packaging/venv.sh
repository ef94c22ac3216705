#!/usr/bin/env bash
# Makes build/NAME: a Python of its own with these packages, and sees that they can be imported.
# Prints the path of its python. Does nothing, quickly, when all is there.
#   packaging/venv.sh NAME IMPORTS PACKAGE==VERSION…
set -euo pipefail
cd "$(dirname "$0")/.."
venv=build/$1 imports=$2
shift 2
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$*" ]; then
  rm -rf "$venv"
  mkdir -p build
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" >&2
  "$venv/bin/python" -c "$imports" >&2
  echo "$*" >"$venv/installed"
fi
echo "$PWD/$venv/bin/python"
