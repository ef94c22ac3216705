#!/usr/bin/env bash
# Installs what packaging/apt.txt lists and this machine lacks, in one apt transaction. Asks for
# nothing; works as root or through sudo. Does nothing, quickly, when all is there.
#   packaging/install.sh            install
#   packaging/install.sh --list     print what would be installed
set -euo pipefail
cd "$(dirname "$0")/.."

wanted() {
  grep -v '^#' packaging/apt.txt | sed '/^$/d'
  # Rust for worker/text/bridge: a cargo >= 1.80 on the PATH will do, else Debian's newer toolchain.
  if ! cargo_is_new_enough; then
    echo cargo-web
    echo rustc-web
  fi
  # For monitoring/dashboard: a node >= 18 with npm on the PATH will do, else Debian's.
  if ! node_is_new_enough; then
    echo nodejs
    echo npm
  fi
}

node_is_new_enough() {
  local version
  version=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p') || return 1
  [ "${version:-0}" -ge 18 ] && command -v npm >/dev/null
}

cargo_is_new_enough() {
  local version
  version=$(cargo --version 2>/dev/null | sed -n 's/^cargo \([0-9]*\)\.\([0-9]*\).*/\1 \2/p') || return 1
  [ -n "$version" ] || return 1
  set -- $version
  [ "$1" -gt 1 ] || [ "$2" -ge 80 ]
}

missing=()
for package in $(wanted); do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done

if [ "${1:-}" = --list ]; then
  [ ${#missing[@]} -eq 0 ] || printf '%s\n' "${missing[@]}"
  exit 0
fi
if [ ${#missing[@]} -eq 0 ]; then
  echo "packages: all of packaging/apt.txt is installed"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "error: this is not Debian (no apt-get); install by hand: ${missing[*]}" >&2
  exit 2
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "error: not root and no sudo; as root, run: apt-get install ${missing[*]}" >&2
    exit 2
  fi
  sudo=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "packages: installing ${#missing[@]} (apt): ${missing[*]}"
if ! { "${sudo[@]}" apt-get update -q &&
       "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
         -o DPkg::Lock::Timeout=300 "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
  tail -n 30 "$log" >&2
  echo "error: apt-get failed; the lines above say why" >&2
  exit 2
fi
