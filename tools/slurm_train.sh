#!/usr/bin/env bash
# Train under Slurm:
#   [GPUS=8] tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments]
# Also read: GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS.
set -euo pipefail

partition=$1
job_name=$2
config=$3
work_dir=$4
# SRUN_ARGS holds several arguments: it is split on purpose.
# shellcheck disable=SC2086
exec srun -p "$partition" \
  --job-name="$job_name" \
  --gres="gpu:${GPUS_PER_NODE:-8}" \
  --ntasks="${GPUS:-8}" \
  --ntasks-per-node="${GPUS_PER_NODE:-8}" \
  --cpus-per-task="${CPUS_PER_TASK:-5}" \
  --kill-on-bad-exit=1 \
  ${SRUN_ARGS:-} \
  python -u "$(dirname "$0")/train.py" "$config" \
  --work-dir="$work_dir" --launcher=slurm "${@:5}"
