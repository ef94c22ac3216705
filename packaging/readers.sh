#!/usr/bin/env bash
# Makes build/readers: the real TensorBoard and MLflow, which read back what Tutti writes for them.
# Prints the path of its python. Does nothing, quickly, when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=build/readers
wanted="tensorboard==2.18.0 mlflow-skinny==2.18.0"
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
  rm -rf "$venv"
  mkdir -p build
  /usr/bin/python3 -m venv "$venv"
  # shellcheck disable=SC2086
  "$venv/bin/pip" install --quiet --disable-pip-version-check $wanted >&2
  "$venv/bin/python" -c '
from tensorboard.backend.event_processing import event_accumulator
from mlflow.tracking import MlflowClient' >&2
  echo "$wanted" >"$venv/installed"
fi
echo "$PWD/$venv/bin/python"
