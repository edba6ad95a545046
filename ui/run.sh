#!/bin/sh
# The interactive page:  cd ui && sh run.sh [--port 7860] [--model sd21-base] ...   (--help lists every setting)
# Uses $PYTHON, else the repository's .venv, which the first run makes and fills.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)

# a proxy must not stand between the server and itself
no_proxy="localhost,127.0.0.1${no_proxy:+,$no_proxy}"
NO_PROXY="$no_proxy"
GRADIO_ANALYTICS_ENABLED=False
export no_proxy NO_PROXY GRADIO_ANALYTICS_ENABLED

has_all() {
    "$1" -c 'import importlib.util as i, sys; sys.exit(not all(map(i.find_spec, ("gradio", "iseg"))))' 2>/dev/null
}

python="${PYTHON:-$root/.venv/bin/python}"
if ! has_all "$python"; then
    if [ -n "${PYTHON:-}" ]; then
        echo "error: $PYTHON lacks what the page needs: run '$PYTHON -m pip install -e \"$root[page]\"', or unset PYTHON" >&2
        exit 2
    fi
    sh "$root/scripts/setup.sh" page
fi
exec "$python" "$root/ui/main.py" "$@"
