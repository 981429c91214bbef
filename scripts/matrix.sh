#!/usr/bin/env bash
# Installs Skyloom with the oldest and the newest versions of its dependencies and with each Python that it
# names, each into an environment of its own, and runs a fast part of the tests there.
#
#   scripts/matrix.sh [PYTHON:RESOLUTION ...]     for instance 3.11:lowest-direct 3.13:highest
#
# Needs uv (pip install uv) and the Pythons. Environments stay in $SKYLOOM_MATRIX, or .venv-matrix.
set -uo pipefail
cd "$(dirname "$0")/.."
where=${SKYLOOM_MATRIX:-.venv-matrix}
tests=(tests/test_registry.py tests/recipe tests/splits tests/fields/test_store.py tests/fields/test_transforms.py
  tests/statistics/test_two_point.py tests/nets tests/api/test_front_door.py tests/api/test_exporting.py)
failed=0
export OMP_NUM_THREADS=1 MPLBACKEND=Agg
[ $# -gt 0 ] || set -- 3.11:lowest-direct 3.11:highest 3.12:highest 3.13:highest
for one in "$@"; do
  python=${one%%:*} resolution=${one##*:}
  venv=$where/$python-$resolution
  extras=sweep,distributed,zarr
  [ "$resolution" != highest ] || extras+=,onnx  # which asks for a newer torch
  { [ -x "$venv/bin/python" ] || uv venv --quiet --python "$python" "$venv"; } &&
    uv pip install --quiet --python "$venv" --resolution "$resolution" \
      --editable ".[$extras]" 'pytest>=8.2' 'hypothesis>=6.100' &&
    # Old versions warn of what newer ones changed: here it is asked whether they work.
    "$venv/bin/python" -m pytest -q -W default -p no:cacheprovider -m "not slow" "${tests[@]}" \
      > "$venv/tests.log" 2>&1
  status=$?
  echo "$one: $([ $status = 0 ] && echo ok || echo FAILED) $(tail -n 1 "$venv/tests.log" 2>/dev/null)"
  [ $status = 0 ] || failed=1
done
exit $failed
