#!/bin/sh
# Prints the path of promtool: the one on the PATH, or Debian's, unpacked into build/tools. The
# package is never installed, because that would start a Prometheus. Exit 1 when there is none.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
if command -v promtool; then exit 0; fi
tools=$root/build/tools
tool=$tools/prometheus/usr/bin/promtool
if [ ! -x "$tool" ]; then
  mkdir -p "$tools"
  work=$(mktemp -d "$tools/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  # apt drops its rights for downloads and complains where it can't; that is harmless here.
  (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download prometheus) >&2 || {
    echo "promtool.sh: apt-get download prometheus failed" >&2
    exit 1
  }
  dpkg -x "$work"/prometheus_*.deb "$work/unpacked"
  rm -rf "$tools/prometheus"
  mv "$work/unpacked" "$tools/prometheus"
fi
echo "$tool"
