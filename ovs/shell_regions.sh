#!/bin/sh
# Unsupervised segmentation: regions without words, matched to the classes of each image.
#
#   sh shell_regions.sh                      COCO-Stuff-27 with Stable Diffusion 2.1-base
#   sh shell_regions.sh cityscapes           Cityscapes val, 27 classes
#   sh shell_regions.sh demo                 the embedded model on pictogram scenes with their grounds
#   sh shell_regions.sh my.yaml              any configuration
#   sh shell_regions.sh stuff --key value .. any setting of it, e.g. --limit 100
#
# What is done is kept: a second start goes on. LAUNCH="accelerate launch --num_processes 4" spreads the images over GPUs.
# Data sets: $ISEG_DATASETS, else datasets/ of the repository. Python: $PYTHON, else the repository's .venv, else python.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
task=stuff
. "$root/scripts/environment.sh"

case "$task" in
    stuff) set -- --config regions/coco-stuff27 --out "$root/runs/regions/stuff" "$@" ;;
    cityscapes) set -- --config regions/cityscapes27 --out "$root/runs/regions/cityscapes" "$@" ;;
    demo)
        scenes="$root/datasets/ground_scenes"
        (cd "$root" && "$python" -m scripts.train_tiny.make_ground_set --out "$scenes" --count 200 --seed 22)
        set -- --config regions/demo --data.root "$scenes/images" --data.truth "$scenes/labels" \
            --out "$root/runs/regions/demo" "$@"
        ;;
    *) set -- --config "$task" "$@" ;;
esac
run_spread "$root/ovs/regions.py" "$@"
