#!/usr/bin/env bash
# Bring one virtual environment to a stage. The Makefile calls this and keeps
# one stamp file per stage; running it again is safe and quick.
#
#   requirements/install.sh demo     .venv            pre-training, onedl runtime
#   requirements/install.sh dev      .venv            + lint and test tools
#   requirements/install.sh test     .venv            + downstream, compiled mmcv
#   requirements/install.sh official .venv-official   tests on the official runtime
#
# PYTHON names the interpreter to start from (3.10, 3.11 or 3.12).
set -euo pipefail

stage=$1
cd "$(dirname "$0")/.."
venv=$2
constraints=requirements/tested.txt
python=$venv/bin/python
unset PIP_NO_BUILD_ISOLATION PYTHONPATH PYTHONHOME

say() { printf '== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
    if "$candidate" -c \
      'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
      2>/dev/null
    then
      echo "$candidate"
      return
    fi
  done
  die "no Python 3.10, 3.11 or 3.12 found; name one with make PYTHON=..."
}

make_venv() {
  # An installation that was killed may have left half a package behind: the
  # marker says so, and we start afresh.
  if [ -e "$venv/.incomplete" ]; then
    say "$venv was left incomplete; starting afresh"
    rm -rf "$venv"
  fi
  "$python" -m pip --version >/dev/null 2>&1 && return
  local base
  base=$(find_python)
  say "Creating $venv with $("$base" --version)"
  rm -rf "$venv"
  if ! "$base" -m venv "$venv" >/dev/null 2>&1; then
    # Debian without python3-venv: no ensurepip, but its own pip can do it.
    rm -rf "$venv"
    "$base" -m venv --without-pip "$venv" &&
      "$base" -m pip --python "$python" install --quiet pip || {
      rm -rf "$venv"
      die 'this Python cannot create virtual environments:' \
        'apt install python3-venv (or set PYTHON to another interpreter)'
    }
  fi
  touch "$venv/.incomplete"
  "$python" -m pip install -qq -c "$constraints" pip
  "$python" -m pip install -qq -c "$constraints" setuptools wheel
  rm "$venv/.incomplete"
}

pip_install() {
  touch "$venv/.incomplete"
  "$python" -m pip install -qq --disable-pip-version-check \
    -c "$constraints" --build-constraint "$constraints" "$@"
  use_loadable_opencv
  rm "$venv/.incomplete"
}

use_loadable_opencv() {
  # opencv-python links libGL, which a bare server lacks. Same version without.
  "$python" -c 'import cv2' 2>/dev/null && return
  say 'opencv-python cannot load here (no libGL?): using the headless build'
  "$python" -m pip uninstall -qq --yes opencv-python opencv-python-headless
  "$python" -m pip install -qq --no-deps -c "$constraints" \
    opencv-python-headless
  "$python" -c 'import cv2'
}

install_compiled_mmcv() {
  # The marker holds the wheel's path, and with it Python, torch and mmcv.
  local wheel marker=$venv/.mmcv-ops
  wheel=$(requirements/build_mmcv.sh "$PWD/$python") || {
    [ $? -eq 3 ] && [ "${MMATTMASK_REQUIRE_OPS:-0}" != 1 ] || exit 1
    say 'Continuing WITHOUT compiled ops: detection and segmentation tests'
    say 'will not run. Install what is named above and repeat.'
    return
  }
  if [ "$(cat "$marker" 2>/dev/null)" != "$wheel" ] || ! has_compiled_mmcv; then
    say "Installing $(basename "$wheel") with compiled ops"
    pip_install --force-reinstall --no-deps "$wheel"
    has_compiled_mmcv || die "mmcv._ext of $wheel cannot be imported"
    echo "$wheel" > "$marker"
  fi
}

has_compiled_mmcv() { "$python" -c 'import torch, mmcv._ext' 2>/dev/null; }

make_venv
case $stage in
  demo)
    say 'Installing torch, the onedl runtime and mmattmask (a few minutes)'
    pip_install torch torchvision -e '.[onedl,demo]'
    ;;
  dev)
    say 'Installing the onedl runtime and the development tools'
    pip_install torch torchvision -e '.[onedl,demo,dev]'
    ;;
  test)
    say 'Installing the onedl runtime, downstream and development packages'
    pip_install torch torchvision ninja -e '.[onedl,demo,downstream,dev]'
    install_compiled_mmcv
    ;;
  official)
    say 'Installing the official runtime and the test packages'
    pip_install torch torchvision openmim -e '.[openmmlab,demo,test]'
    ;;
  *) die "unknown stage '$stage': demo, dev, test or official" ;;
esac
# The headless build stands in for opencv-python; pip does not know.
conflicts=$("$python" -m pip check | grep -v 'requires opencv-python, ' || true)
case $conflicts in ''|'No broken'*) ;; *) say "pip check: $conflicts" ;; esac
"$python" -c 'import mmpretrain' || die 'mmpretrain cannot be imported'
say "$venv is ready for $stage"
