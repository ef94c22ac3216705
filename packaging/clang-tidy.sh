#!/usr/bin/env bash
# clang-tidy over sources of ours, by build/release/compile_commands.json.
#   packaging/clang-tidy.sh                 everything (about 10 minutes on 2 cores)
#   packaging/clang-tidy.sh --changed REF   what differs from the commit REF
#   packaging/clang-tidy.sh FILE…
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f build/release/compile_commands.json ] || { echo "error: configure first: cmake --preset release" >&2; exit 2; }
folders=(common jobs scheduler worker monitoring)
case "${1:-}" in
  "") mapfile -t files < <(git ls-files "${folders[@]/%//*.cc}") ;;
  --changed) mapfile -t files < <(git diff --name-only --diff-filter=d "$2" -- "${folders[@]/%//*.cc}") ;;
  *) files=("$@") ;;
esac
[ ${#files[@]} -eq 0 ] && { echo "clang-tidy: nothing to look at"; exit 0; }
# Only what this build compiles: another instruction set's kernels, say, may not be.
known=()
for file in "${files[@]}"; do
  grep -qF "/$file\"" build/release/compile_commands.json && known+=("$file")
done
printf '%s\n' "${known[@]}" | xargs -P 2 -n 4 clang-tidy -p build/release --quiet 2>/dev/null
echo "clang-tidy: ${#known[@]} files are clean"
