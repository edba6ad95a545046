#!/bin/sh
# The interactive page:  cd ui && sh run.sh [--port 7860] [--model sd21-base] ...   (--help lists every setting)
# Uses $PYTHON, else the repository's .venv (made and filled at the first run).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

# a proxy must not stand between the server and itself
no_proxy="localhost,127.0.0.1${no_proxy:+,$no_proxy}"
NO_PROXY="$no_proxy"
GRADIO_ANALYTICS_ENABLED=False
export no_proxy NO_PROXY GRADIO_ANALYTICS_ENABLED

python=${PYTHON:-}
if [ -z "$python" ]; then
    python="$root/.venv/bin/python"
    if [ ! -x "$python" ]; then
        echo "Making $root/.venv" >&2
        python3 -m venv "$root/.venv"
    fi
fi
if ! "$python" -c "import gradio, iseg" 2>/dev/null; then
    echo "Installing what the page needs (once)" >&2
    constraints=""
    [ -f "$root/constraints.txt" ] && constraints="-c $root/constraints.txt"
    # shellcheck disable=SC2086 # empty or two words
    "$python" -m pip install -q $constraints -e "$root[ui]"
fi
exec "$python" "$here/main.py" "$@"
