#!/usr/bin/env bash
# Installs the built programs and their systemd units; starts nothing. Safe to run again: that is
# how an upgrade puts the new programs in place.
#   sudo packaging/systemd/install.sh            programs to /usr/local/bin, units to /etc/systemd/system
#   sudo packaging/systemd/install.sh --remove   takes all of that away; data stays
# DESTDIR=FOLDER puts everything below a folder instead (and makes no user).
set -euo pipefail
cd "$(dirname "$0")/../.."

programs=(tutti tutti-coordinator tutti-worker tutti-engine)
units=(tutti.service tutti-worker.service tutti-backup.service tutti-backup.timer)
built=${TUTTI_BIN:-build/release/bin}
root=${DESTDIR:-}
bin=$root/usr/local/bin
doc=$root/usr/local/share/doc/tutti
man=$root/usr/local/share/man/man1
etc=$root/etc

reload() {
  [ -z "$root" ] || return 0
  [ ! -d /run/systemd/system ] || systemctl daemon-reload
}

case "${1:-}" in
  "") ;;
  --remove)
    rm -f "${programs[@]/#/$bin/}" "${units[@]/#/$etc/systemd/system/}" \
      "$etc/sysusers.d/tutti.conf" "$etc/tmpfiles.d/tutti.conf" "$doc/operations.md" \
      "$man/tutti.1"
    reload
    echo "removed; data stays in /var/lib/tutti, /var/lib/tutti-worker and /var/backups/tutti"
    exit 0
    ;;
  -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "install: unknown option '$1'; see $0 --help" >&2; exit 2 ;;
esac

for program in "${programs[@]}"; do
  [ -x "$built/$program" ] || {
    echo "error: $built/$program is not built; run: ./check --build-only" >&2
    exit 2
  }
done
if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
  echo "error: not root; run: sudo $0" >&2
  exit 2
fi

# Renamed into place: programs that run keep their old file.
mkdir -p "$bin" "$doc" "$man" "$etc/systemd/system" "$etc/sysusers.d" "$etc/tmpfiles.d"
for program in "${programs[@]}"; do
  install -m 755 "$built/$program" "$bin/.$program.new"
  mv -f "$bin/.$program.new" "$bin/$program"
done
for unit in "${units[@]}"; do
  install -m 644 "packaging/systemd/$unit" "$etc/systemd/system/$unit"
done
install -m 644 packaging/systemd/sysusers.conf "$etc/sysusers.d/tutti.conf"
install -m 644 packaging/systemd/tmpfiles.conf "$etc/tmpfiles.d/tutti.conf"
install -m 644 docs/operations.md "$doc/operations.md"
"$bin/tutti" man >"$man/tutti.1"
if [ -z "$root" ]; then
  systemd-sysusers tutti.conf
  systemd-tmpfiles --create tutti.conf
fi
reload
cat <<TEXT
installed $("$bin/tutti" --version | head -n 1) in $bin
a cluster    sudo systemctl enable --now tutti tutti-backup.timer
a worker     sudo -u tutti tutti worker --join STRING --dir /var/lib/tutti-worker, then
             sudo systemctl enable --now tutti-worker
TEXT
