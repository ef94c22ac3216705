#!/usr/bin/env bash
# Makes build/browser: Playwright, which drives Debian's Chromium for tests/browser. Prints the path
# of its python. Does nothing, quickly, when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=build/browser
wanted="playwright==1.65.2"
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
  rm -rf "$venv"
  mkdir -p build
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$wanted" >&2
  "$venv/bin/python" -c 'import playwright.sync_api' >&2
  echo "$wanted" >"$venv/installed"
fi
echo "$PWD/$venv/bin/python"
