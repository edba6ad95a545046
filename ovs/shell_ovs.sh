#!/bin/sh
# Open-vocabulary segmentation: label the images of a split with TagCLIP, then segment them.
#
#   sh shell_ovs.sh                      VOC 2012 val with CLIP ViT-B/16 and Stable Diffusion 2.1-base
#   sh shell_ovs.sh context              PASCAL Context (59 classes), VOC 2010 val
#   sh shell_ovs.sh coco                 COCO-Object (5,000 images)
#   sh shell_ovs.sh voc --maps clip      without labels, by CLIP's own maps (CLIPer): voc, context, coco
#   sh shell_ovs.sh stuff|ade|city       COCO-Stuff, ADE20k, Cityscapes; voc20 and context59: background ignored. Always so
#   sh shell_ovs.sh demo                 the embedded models on pictogram scenes, beside the labels of the truth
#   sh shell_ovs.sh my.yaml              any configuration
#   sh shell_ovs.sh voc --key value ...  any setting of it, e.g. --recipe.iterations 5 --tagging.clip.threshold 0.5
#
# Labels made before with the same settings are kept. LAUNCH="accelerate launch --num_processes 4" spreads the images over
# GPUs. Data sets: $ISEG_DATASETS, else datasets/ of the repository. Python: $PYTHON, else the repository's .venv, else
# python.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
task=voc
. "$root/scripts/environment.sh"

suffix=""  # masks of each kind of maps have a folder of their own
case " $* " in
    *" --maps clip "* | *" --maps=clip "*) [ "$task" != demo ] || suffix=-clip ;;
    *" --maps joined "* | *" --maps=joined "*) suffix=-joined ;;
esac
case "$task $*" in
    voc\ *--maps?clip* | voc\ *--maps?joined*) task=cliper/voc21 ;;
    context\ *--maps?clip* | context\ *--maps?joined*) task=cliper/context60 ;;
    coco\ *--maps?clip* | coco\ *--maps?joined*) task=cliper/coco-object ;;
    stuff\ *) task=cliper/coco-stuff ;;
    ade\ *) task=cliper/ade150 ;;
    city\ *) task=cliper/cityscapes ;;
    voc20\ * | context59\ *) task=cliper/$task ;;
esac
case "$task" in
    voc | context | coco | cliper/*) set -- --config "ovs/$task" --out "$root/runs/ovs/$task$suffix" "$@" ;;
    demo)
        choose_labels
        make_scenes
        set -- --config ovs/demo --data.root "$scenes" --out "$root/runs/ovs/demo$suffix" $labels "$@"
        ;;
    *) set -- --config "$task" "$@" ;;
esac

run_spread "$root/ovs/main.py" "$@"
