#!/bin/sh
# Weakly supervised segmentation: pseudo-masks and their score.
#
#   sh shell_main.sh                      VOC 2012 train with Stable Diffusion 2.1-base
#   sh shell_main.sh coco                 COCO 2014 train
#   sh shell_main.sh demo                 the embedded model on 100 pictogram scenes, with the ablation
#   sh shell_main.sh my.yaml              any configuration
#   sh shell_main.sh voc --key value ...  any setting of it, e.g. --recipe.iterations 5 --batch_size 4
#
# LAUNCH="accelerate launch --num_processes 4" spreads the images over GPUs. Data sets: $ISEG_DATASETS, else datasets/ of
# the repository. Python: $PYTHON, else the repository's .venv, else python.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
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

task=voc
case "${1:-}" in
    "" | -*) ;;
    *) task=$1; shift ;;
esac
case "$task" in
    voc | coco) set -- --config "wsss/$task" --out "$root/runs/wsss/$task" "$@" ;;
    demo)
        scenes="$root/datasets/pictograms"
        if [ ! -f "$scenes/VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt" ]; then
            (cd "$root" && "$python" -m scripts.train_tiny.make_set --out "$scenes" --count 200 --seed 11)
        fi
        set -- --config wsss/demo --data.root "$scenes" --out "$root/runs/wsss/demo" "$@"
        ;;
    *) set -- --config "$task" "$@" ;;
esac

if [ -n "${LAUNCH:-}" ]; then
    # LAUNCH is split into words on purpose
    exec "$python" -m accelerate.commands.accelerate_cli ${LAUNCH#accelerate } "$root/wsss/main.py" "$@"
fi
exec "$python" "$root/wsss/main.py" "$@"
