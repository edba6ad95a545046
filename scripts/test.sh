#!/bin/sh
# Sets up all that the tests need, then runs lint, types and the whole suite: sh scripts/test.sh [pytest arguments]
# With --integrations as the first argument: only the tests with other tools (Label Studio, CVAT, FiftyOne, supervision,
# the notebook), each in an environment of its own that the first run makes from PyPI (2 GB, some minutes).
set -eu
cd "$(dirname "$0")/.."
extras=dev,data,page,ray,train,onnx,polish

if [ "${1:-}" = --integrations ]; then
    shift
    sh scripts/setup.sh "$extras"
    exec .venv/bin/python -m pytest --integrations -m integration tests/integrations "$@"
fi

# The page's tests drive Chromium; where it cannot be had they are skipped and say so.
get_chromium() {
    command -v chromium >/dev/null 2>&1 && return
    command -v apt-get >/dev/null 2>&1 || return 0
    echo "Installing Chromium for the page's tests"
    root=""
    [ "$(id -u)" = 0 ] || root="sudo -n"
    { $root apt-get update -qq && $root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium; } \
        >/dev/null 2>&1 || echo "Chromium could not be installed: the page's browser tests will be skipped"
}

get_chromium &
chromium=$!
sh scripts/setup.sh "$extras"
wait "$chromium"

.venv/bin/ruff check .
.venv/bin/ruff format --check .
# Types are checked beside the tests, which often wait for servers and processes of their own: so three of pytest's, too.
# Files run in order, so that no long one (page, label) is left for the end, where it would hold up all alone.
# `-n 0` among the arguments: just one.
.venv/bin/mypy &
types=$!
code=0
.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 25 --durations-min 5 "$@" || code=$?
wait "$types" || code=$?
exit "$code"
