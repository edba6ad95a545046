#!/bin/sh
# The main job with the embedded model, from nothing: sets up .venv, segments examples/scenes, prints the scores.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh data
exec .venv/bin/python scripts/demo.py "$@"
