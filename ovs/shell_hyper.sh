#!/bin/sh
# Sweep over entropy weight x iterations x category enhancement on the first images of a split: a table and a plot.
#
#   sh shell_hyper.sh                    VOC 2012 val, 100 images
#   sh shell_hyper.sh context|coco|demo|my.yaml
#   sh shell_hyper.sh demo --limit 20 --sweep.iterations "[0, 1, 3, 10]"
#
# Settings of the sweep: --sweep.entropy, --sweep.iterations, --sweep.enhancement, each a list. Environment as in shell_ovs.sh.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
task=voc
. "$root/scripts/environment.sh"

case "$task" in
    voc | context | coco) set -- --config "ovs/$task" --out "$root/runs/hyper/$task" "$@" ;;
    demo)
        choose_labels
        make_scenes
        set -- --config ovs/demo --data.root "$scenes" --out "$root/runs/hyper/demo" $labels "$@"
        ;;
    *) set -- --config "$task" "$@" ;;
esac
exec "$python" "$root/ovs/hyper.py" "$@"
