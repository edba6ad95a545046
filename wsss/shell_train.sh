#!/bin/sh
# A segmenter that needs no labels and no diffusion model, trained on the masks of shell_main.sh.
#
#   sh shell_train.sh                      VOC 2012, on the masks of train_aug in runs/wsss/voc_aug
#   sh shell_train.sh coco                 COCO 2014, on the masks of train in runs/wsss/coco
#   sh shell_train.sh demo                 a small SegFormer from scratch on the masks of pictogram scenes
#   sh shell_train.sh my.yaml              any configuration
#   sh shell_train.sh voc --key value ...  any setting of it, e.g. --masks runs/wsss/crf/masks --batch_size 8
#
# The same command goes on where an earlier one ended. LAUNCH="accelerate launch --num_processes 4" spreads every batch over
# GPUs. Data sets: $ISEG_DATASETS, else datasets/ of the repository. Python: $PYTHON, else the repository's .venv, else python.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
task=voc
. "$root/scripts/environment.sh"

case "$task" in
    voc) set -- --config wsss/train_voc --masks "$root/runs/wsss/voc_aug/masks" --out "$root/runs/wsss/train_voc" "$@" ;;
    coco) set -- --config wsss/train_coco --masks "$root/runs/wsss/coco/masks" --out "$root/runs/wsss/train_coco" "$@" ;;
    demo)
        work="$root/runs/wsss/train_demo"
        (cd "$root" && "$python" -m scripts.train_student.prepare --out "$work")
        set -- --config wsss/train_demo --data.root "$work/scenes" --val.root "$work/scenes" \
            --masks "$work/masks/iseg/masks" --out "$work/student" "$@"
        ;;
    *) set -- --config "$task" "$@" ;;
esac

run_spread "$root/wsss/train.py" "$@"
