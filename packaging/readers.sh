#!/usr/bin/env bash
# Makes build/readers: the real TensorBoard and MLflow, which read back what Tutti writes for them.
# Prints the path of its python. Does nothing, quickly, when all is there.
set -euo pipefail
exec "$(dirname "$0")/venv.sh" readers '
from tensorboard.backend.event_processing import event_accumulator
from mlflow.tracking import MlflowClient' tensorboard==2.18.0 mlflow-skinny==2.18.0
