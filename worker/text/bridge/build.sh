#!/usr/bin/env bash
# Builds the text bridge: build.sh WORK_DIR OUTPUT.a
# WORK_DIR holds a copy of the crate, its Cargo.lock and cargo's target folder; several build
# directories may share it. Needs the crate registry once; later builds work offline.
#   build.sh --test WORK_DIR    runs the crate's own tests, with what was compiled for the library
#   build.sh --pin WORK_DIR     writes crates.txt anew from the newest versions that fit Cargo.toml
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

fail() { echo "error: text bridge: $*" >&2; exit 1; }

# A cargo >= 1.80: the one on the PATH, else where Debian's cargo-web puts it.
find_cargo() {
  local candidate version
  for candidate in cargo /usr/bin/cargo; do
    version=$("$candidate" --version 2>/dev/null | sed -n 's/^cargo \([0-9]*\)\.\([0-9]*\).*/\1 \2/p') || continue
    [ -n "$version" ] || continue
    set -- $version
    if [ "$1" -gt 1 ] || [ "$2" -ge 80 ]; then
      echo "$candidate"
      return
    fi
  done
  fail "no cargo >= 1.80; run packaging/install.sh (Debian 12: apt-get install cargo-web rustc-web)"
}

locked() {  # name and version of every crate but our own in Cargo.lock
  awk '/^name = /{n=$3} /^version = /{v=$3} /^source = /{gsub(/"/,"",n); gsub(/"/,"",v); print n, v}' \
    Cargo.lock | LC_ALL=C sort
}

# Cargo.lock with exactly the versions of crates.txt. Only crates that differ are moved; some can
# move only after another has, so several rounds.
lock_versions() {
  local round name version have
  [ -f Cargo.lock ] || "$cargo" generate-lockfile --quiet
  for round in 1 2 3 4 5 6; do
    locked | cmp -s - crates.txt && return
    while read -r name version; do
      have=$(locked | grep -Fx -e "$name $version") || true
      [ -z "$have" ] || continue
      # The entry to move: one of this name that crates.txt does not list.
      have=$(locked | grep -e "^$name " | grep -vFx -f crates.txt | head -n 1 | cut -d' ' -f2) || true
      [ -n "$have" ] || continue
      "$cargo" update --quiet --package "$name@$have" --precise "$version" 2>/dev/null || true
    done <crates.txt
  done
  locked | cmp -s - crates.txt && return
  locked | diff crates.txt - >&2 || true
  rm -f Cargo.lock
  fail "cannot get the crate versions of worker/text/bridge/crates.txt (the lines above differ); offline?"
}

# Copies what changed and keeps times, so that cargo sees what is new.
copy_crate() {
  mkdir -p "$work/src"
  cp -pu "$here/Cargo.toml" "$here/crates.txt" "$work/"
  cp -pu "$here"/src/*.rs "$work/src/"
  local file
  for file in "$work"/src/*.rs; do
    [ -f "$here/src/$(basename "$file")" ] || rm "$file"
  done
}

pin=
test=
if [ "${1:-}" = --pin ]; then pin=1; shift; fi
if [ "${1:-}" = --test ]; then test=1; shift; fi
[ $# -ge 1 ] || fail "usage: build.sh WORK_DIR OUTPUT.a"
cargo=$(find_cargo)
mkdir -p "$1"
work=$(cd "$1" && pwd)
exec 9>"$work/.lock"
flock 9
[ -z "$pin" ] || touch "$here/crates.txt"
copy_crate
cd "$work"
export CARGO_TARGET_DIR="$work/target" RAYON_NUM_THREADS=1
# No folder of this machine in the library.
export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo --remap-path-prefix=$work=bridge"
if [ -n "$pin" ]; then
  rm -f Cargo.lock
  "$cargo" generate-lockfile --quiet
  locked >"$here/crates.txt"
  exit
fi
lock_versions
if [ -n "$test" ]; then
  exec "$cargo" test --release --lib -j2 --locked --offline --quiet
fi
output=$2  # absolute
"$cargo" build --release --lib -j2 --locked --offline --quiet 2>"$work/offline.log" ||
  "$cargo" build --release --lib -j2 --locked --quiet || fail "cargo build failed"
mkdir -p "$(dirname "$output")"
built=target/release/libtutti_text_bridge.a
cmp -s "$built" "$output" || cp "$built" "$output"
touch "$output"
