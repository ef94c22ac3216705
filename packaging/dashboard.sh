#!/usr/bin/env bash
# What the dashboard is built with: monitoring/dashboard/node_modules, as its lock file says. Does
# nothing, quickly, when all is there.
#   packaging/dashboard.sh           install
#   packaging/dashboard.sh --check   then see that dist/ is what src/ builds (exit 1 when it is not)
#   packaging/dashboard.sh --build   then build dist/ anew
set -euo pipefail
cd "$(dirname "$0")/../monitoring/dashboard"
wanted=$(sha256sum package.json package-lock.json)
if [ "$(cat node_modules/installed 2>/dev/null)" != "$wanted" ]; then
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  echo "$wanted" >node_modules/installed
fi
case "${1:-}" in
  "") ;;
  --check) npm run --silent check ;;
  --build) npm run --silent build ;;
  *) echo "dashboard.sh: unknown option '$1'" >&2; exit 2 ;;
esac
