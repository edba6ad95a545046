"""Runs in supervision's environment: a result as its detections, annotated by it.

python supervision_detections.py IMAGE OUT.npz
"""

import sys

import numpy as np
import supervision
from PIL import Image

from iseg import ISeg

seg = ISeg.from_pretrained("tiny", device="cpu")
seg.set_image(sys.argv[1])
detections = seg.segment(["bus", "car", "cat"]).to_detections()
assert isinstance(detections, supervision.Detections)
first = detections[detections.class_id == 0]
assert len(first) == 1
assert first.area[0] == first.mask.sum()  # of its masks
with Image.open(sys.argv[1]) as image:
    scene = np.array(image.convert("RGB"))
drawn = supervision.MaskAnnotator().annotate(scene.copy(), detections)
assert (drawn != scene).any(2)[detections.mask.any(0)].mean() > 0.9
nothing = seg.segment(["cat"], background=1.0)
nothing.mask[:] = 0
assert len(nothing.to_detections()) == 0
np.savez(sys.argv[2], mask=detections.mask, xyxy=detections.xyxy, class_id=detections.class_id,
         confidence=detections.confidence, names=detections.data["class_name"])  # fmt: skip
