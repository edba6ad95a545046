# Sourced by the entries of this folder, which set $root.
. "$root/scripts/environment.sh"

# Where the demo's labels come from.
labels=""
choose_labels() {
    if [ ! -f "$root/iseg/models/tiny_clip/model.safetensors" ]; then
        echo "This copy has no small CLIP (iseg/models/tiny_clip): every image is asked for all 20 words instead." >&2
        labels="--tagging.source all"
    fi
}
