#!/usr/bin/env bash
# Makes build/browser: Playwright, which drives Debian's Chromium for tests/browser. Prints the path
# of its python. Does nothing, quickly, when all is there.
set -euo pipefail
exec "$(dirname "$0")/venv.sh" browser "import playwright.sync_api" playwright==1.65.2
