# Sourced by the entries of this folder, which set $root: chooses $python and makes the repository importable.
python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python
    [ -x "$root/.venv/bin/python" ] && python="$root/.venv/bin/python"
fi
if ! "$python" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("torch", "diffusers", "jsonargparse"))))'; then
    echo "error: $python lacks what iseg needs: run sh $root/scripts/demo.sh once, or set PYTHON to one that has it" >&2
    exit 2
fi
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
export ISEG_DATASETS="${ISEG_DATASETS:-$root/datasets}"
scenes="$root/datasets/pictograms"

# The pictogram scenes of the demo, made once; and where its labels come from.
labels=""
make_scenes() {
    if [ ! -f "$root/iseg/models/tiny_clip/model.safetensors" ]; then
        echo "This copy has no small CLIP (iseg/models/tiny_clip): every image is asked for all 20 words instead." >&2
        labels="--tagging.source all"
    fi
    if [ ! -f "$scenes/VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt" ]; then
        (cd "$root" && "$python" -m scripts.train_tiny.make_set --out "$scenes" --count 200 --seed 11)
    fi
}
