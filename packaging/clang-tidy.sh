#!/usr/bin/env bash
# clang-tidy over sources of ours, each by itself: build/tidy is configured for that, and holds what is generated.
#   packaging/clang-tidy.sh                 everything (about 10 minutes on 2 cores)
#   packaging/clang-tidy.sh --changed REF   what differs from the commit REF
#   packaging/clang-tidy.sh FILE…
set -euo pipefail
cd "$(dirname "$0")/.."
folders=(common jobs scheduler worker monitoring)
case "${1:-}" in
  "") mapfile -t files < <(git ls-files "${folders[@]/%//*.cc}") ;;
  --changed) mapfile -t files < <(git diff --name-only --diff-filter=d "$2" -- "${folders[@]/%//*.cc}") ;;
  *) files=("$@") ;;
esac
[ ${#files[@]} -eq 0 ] && { echo "clang-tidy: nothing to look at"; exit 0; }
cmake --preset release -B build/tidy -D CMAKE_UNITY_BUILD=OFF >/dev/null
cmake --build build/tidy -j2 --target common_wire scheduler_store_proto >/dev/null
# Only what this build compiles: another instruction set's kernels, say, may not be.
known=()
for file in "${files[@]}"; do
  grep -qF "/$file\"" build/tidy/compile_commands.json && known+=("$file")
done
printf '%s\n' "${known[@]}" | xargs -P 2 -n 4 clang-tidy -p build/tidy --quiet 2>/dev/null
echo "clang-tidy: ${#known[@]} files are clean"
