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
task=voc
. "$root/scripts/environment.sh"

case "$task" in
    voc | coco) set -- --config "wsss/$task" --out "$root/runs/wsss/$task" "$@" ;;
    demo)
        make_scenes
        set -- --config wsss/demo --data.root "$scenes" --out "$root/runs/wsss/demo" "$@"
        ;;
    *) set -- --config "$task" "$@" ;;
esac

run_spread "$root/wsss/main.py" "$@"
