#!/usr/bin/env bash
# Makes build/venv: the real Transformers and PEFT on Debian's own PyTorch (the same LibTorch as the
# engine's), which tests and benchmarks compare with. Prints the path of its python. Does nothing,
# quickly, when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=build/venv
wanted="transformers==4.46.3 peft==0.13.2 accelerate==1.1.1"
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
  rm -rf "$venv"
  mkdir -p build
  # Debian's python3 by its full name: another one first on the PATH has no torch.
  /usr/bin/python3 -m venv --system-site-packages "$venv"
  {
    "$venv/bin/pip" install --quiet --disable-pip-version-check "transformers==4.46.3" "numpy<2"
    # Without their dependencies: those would bring another PyTorch of 5 GB.
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
      "peft==0.13.2" "accelerate==1.1.1"
    "$venv/bin/pip" install --quiet --disable-pip-version-check psutil
  } >&2
  "$venv/bin/python" -c 'import torch, transformers, peft, accelerate' >&2
  echo "$wanted" >"$venv/installed"
fi
echo "$PWD/$venv/bin/python"
