"""Runs in Label Studio's environment: its library's brush encoder, and its decoder on ours.

python label_studio_brush.py MASK.npy RLE-AS-JSON  prints the library's bytes as JSON
"""

import json
import sys

import numpy as np
from label_studio_sdk.converter.brush import decode_rle, mask2rle

mask = np.load(sys.argv[1])
print(json.dumps(mask2rle(mask.astype(np.uint8) * 255)))
assert np.array_equal(decode_rle(json.loads(sys.argv[2])).reshape(*mask.shape, 4)[..., 3] == 255, mask)
