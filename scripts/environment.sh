# Sourced by the entries of wsss/ and ovs/, which set $root and the default of $task: takes the task from the arguments,
# chooses $python, makes the repository importable, and has what their demos and spread runs share.
case "${1:-}" in
    "" | -*) ;;
    *) task=$1; shift ;;
esac

python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python
    [ -x "$root/.venv/bin/python" ] && python="$root/.venv/bin/python"
fi
if ! "$python" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("torch", "diffusers", "jsonargparse", "accelerate"))))'; then
    echo "error: $python lacks what iseg needs: run sh $root/scripts/demo.sh once, or set PYTHON to one that has it" >&2
    exit 2
fi
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
export ISEG_DATASETS="${ISEG_DATASETS:-$root/datasets}"

# The pictogram scenes of the demos: kept while the renderer and its pictograms stay the same.
scenes="$root/datasets/pictograms"
make_scenes() {
    (cd "$root" && "$python" -m scripts.train_tiny.make_set --out "$scenes" --count 200 --seed 11)
}

# Where the labels of the open-vocabulary demos come from.
labels=""
choose_labels() {
    if [ ! -f "$root/iseg/models/tiny_clip/model.safetensors" ]; then
        echo "This copy has no small CLIP (iseg/models/tiny_clip): every image is asked for all 20 words instead." >&2
        labels="--tagging.source all"
    fi
}

# Run a script with its arguments in place of this shell, by accelerate if $LAUNCH says so.
run_spread() {
    if [ -n "${LAUNCH:-}" ]; then
        # LAUNCH is split into words on purpose
        exec "$python" "$root/scripts/launch.py" ${LAUNCH#accelerate } "$@"
    fi
    exec "$python" "$@"
}
