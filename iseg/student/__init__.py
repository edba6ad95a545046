"""A segmenter that needs no labels and no diffusion model, trained on the masks of a run.

`python -m iseg.student train --config wsss/train_voc [--key value ...]`
`python -m iseg.student evaluate --student RUN/best [--kind voc --split val] [--scales 0.5,1,1.5 --flip]`
`python -m iseg.student export --student RUN/best --out student.onnx`
"""
