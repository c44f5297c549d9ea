#!/usr/bin/env bash
# Build onedl-mmcv with its compiled ops once, keep the wheel, print its path.
#
#   requirements/build_mmcv.sh PYTHON
#
# PYTHON is the interpreter of an environment that holds torch. The wheel is
# kept in a cache of our own, by Python, torch, mmcv and kind (cpu or CUDA).
# pip's cache cannot do that: it files the pure-Python and the compiled wheel
# of one mmcv version under the same name and serves either for the other.
set -euo pipefail

python=$1
cd "$(dirname "$0")/.."
constraints=requirements/tested.txt
say() { printf '%s\n' "$*" >&2; }

mmcv=$(sed -n 's/^onedl-mmcv==//p' "$constraints")
# Without nvcc the ops are built for the CPU, also on a machine with a GPU.
key=$("$python" - "$mmcv" <<'EOF'
import sys
import sysconfig

import torch

cuda = torch.cuda.is_available()
if cuda:
    from torch.utils.cpp_extension import CUDA_HOME

    cuda = CUDA_HOME is not None
kind = f'cu{torch.version.cuda}' if cuda else 'cpu'
abi = f'cp{sys.version_info.major}{sys.version_info.minor}'
torch_version = torch.__version__.replace('+', '-')
platform = sysconfig.get_platform()
print(f'{abi}-torch{torch_version}-mmcv{sys.argv[1]}-{kind}-{platform}')
EOF
)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mmattmask/wheels/$key
wheel() { find "$cache" -maxdepth 1 -name 'onedl_mmcv-*.whl' 2>/dev/null; }

if [ -z "$(wheel)" ]; then
  headers=$("$python" -c 'import sysconfig as s; print(s.get_path("include"))')
  missing=''
  command -v "${CXX:-g++}" >/dev/null || missing='a C++ compiler (g++)'
  [ -f "$headers/Python.h" ] || missing="${missing:+$missing and }Python.h"
  if [ -n "$missing" ]; then
    say "mmcv's compiled ops need $missing:"
    say '    apt install build-essential python3-dev'
    exit 3
  fi
  say "Building onedl-mmcv $mmcv with its compiled ops, once, for $key."
  say 'This takes about 9 minutes on 2 cores.'
  mkdir -p "$cache"
  # Built beside the cache entry and moved in whole: a killed build leaves none.
  build=$(mktemp -d "$cache/build.XXXXXX")
  trap 'rm -rf "$build"' EXIT
  case $key in *-cpu-*) export CUDA_VISIBLE_DEVICES='' ;; esac
  PATH=$(dirname "$python"):$PATH \
  MAX_JOBS=${MAX_JOBS:-$(nproc)} \
  "$python" -m pip wheel -qq --no-deps --no-cache-dir \
    --no-build-isolation --no-binary onedl-mmcv \
    -c "$constraints" -w "$build" onedl-mmcv >&2
  mv "$build"/onedl_mmcv-*.whl "$cache/"
fi
wheel
