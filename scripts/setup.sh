#!/bin/sh
# Makes .venv and installs iseg there with the pinned versions: sh scripts/setup.sh [EXTRAS], e.g. dev,page.
# Does nothing when the same set is already installed.
set -eu
cd "$(dirname "$0")/.."
extras="${1:-}"
stamp=".venv/iseg-installed"
wanted="$(cat pyproject.toml constraints.txt | cksum) $(pwd)"

installed=""
current=false
if [ -f "$stamp" ]; then
    installed="$(sed -n 2p "$stamp")"
    [ "$(head -n 1 "$stamp")" = "$wanted" ] && current=true
fi
# what is there stays: what is missing is installed on top of it
all="$installed"
for extra in $(echo "$extras" | tr ',' ' '); do
    case ",$installed," in
        *",$extra,"*) ;;
        *) all="${all:+$all,}$extra"; current=false ;;
    esac
done
$current && exit 0
extras="$all"

if [ ! -x .venv/bin/python ]; then
    base="${PYTHON:-python3}"
    if ! "$base" -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        echo "error: '$base' is not Python >= 3.10 with venv: install it, or set PYTHON to one" >&2
        exit 2
    fi
    echo "Making .venv with $("$base" --version)"
    "$base" -m venv .venv
fi
echo "Installing iseg${extras:+ [$extras]} into .venv (a few minutes the first time)"
.venv/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable ".${extras:+[$extras]}"
printf '%s\n%s\n' "$wanted" "$extras" > "$stamp"
