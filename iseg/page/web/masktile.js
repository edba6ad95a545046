// The objects' colours over a tile of the image, at the image's own resolution.

import { decide } from "./maths.js";
import { CLEAN, isCorrected } from "./objects.js";
import { paintLayer } from "./paint.js";
import { clean, cover } from "./regions.js";
import { scoreAt } from "./scores.js";

const EMPTY_SCORE = 1e-6; // of what clean-up added where the map is zero

// Labels of the visible objects in `box` of the image (whole pixels): {objects, labels}.
export function labelsIn(app, box) {
  const [width, height] = [box[2] - box[0], box[3] - box[1]];
  const labels = new Uint8Array(width * height);
  const buffer = new Float32Array(labels.length); // of one object at a time
  const objects = app.document.visible.filter((object) => app.solver.mapsOf(object));
  const claims = (function* () {
    for (const object of objects) yield claimOf(app, object, box, buffer);
  })();
  decide(claims, labels, new Float32Array(labels.length));
  return { objects, labels };
}

export function layerOf(app, box) {
  const { objects, labels } = labelsIn(app, box);
  const [width, height] = [box[2] - box[0], box[3] - box[1]];
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const data = new ImageData(width, height);
  const out = new Uint32Array(data.data.buffer);
  const colours = objects.map(({ colour }) => colour);
  paintLayer(labels, width, height, colours, app.document.now.opacity, out);
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

function claimOf(app, object, box, out) {
  const { image } = app;
  const maps = app.solver.mapsOf(object);
  scoreAt(app, maps, object, app.iterationOf(object), image.width, image.height, out, box);
  if (!isCorrected(object)) return { scores: out, threshold: object.threshold };
  const limit = Math.fround(object.threshold);
  const change = changeOf(app, object);
  const [width, height] = [box[2] - box[0], box[3] - box[1]];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const isIn = out[i] >= limit && out[i] > 0;
      const changed = change(box[0] + x, box[1] + y);
      out[i] = (changed ?? isIn) ? Math.max(out[i], EMPTY_SCORE) : 0;
    }
  }
  const size = { width, height };
  for (const stroke of object.strokes) {
    const points = stroke.points.map(([x, y]) => [x - box[0], y - box[1]]);
    cover({ ...stroke, points }, size, size, (i) => (out[i] = stroke.erases ? 0 : 2 + stroke.order));
  }
  return { scores: out, threshold: 0 };
}

// What clean-up did at a pixel of the image: true or false where it changed the region, else undefined. Clean-up looks at
// all of the image, so it is done at view size; all that it leaves alone is as sharp as the image.
function changeOf(app, object) {
  if (!CLEAN.some((name) => object.clean[name])) return () => undefined;
  const { image, stage } = app;
  const { pictures } = stage;
  const scores = pictures.scoresOf(object);
  const limit = Math.fround(object.threshold);
  const region = Uint8Array.from(scores, (score) => (score >= limit && score > 0 ? 1 : 0));
  const cleaned = clean(region, object, pictures, image);
  return (x, y) => {
    const column = Math.min(pictures.width - 1, Math.floor(((x + 0.5) * pictures.width) / image.width));
    const row = Math.min(pictures.height - 1, Math.floor(((y + 0.5) * pictures.height) / image.height));
    const at = row * pictures.width + column;
    return cleaned[at] === region[at] ? undefined : cleaned[at] === 1;
  };
}
