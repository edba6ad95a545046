// The five pictures of an image at one size: image, seed map, refined map, mask, overlay. The stage has one of these at
// view size, the strip below it one at thumbnail size.

import { decide, upsample } from "./maths.js";
import { isCorrected } from "./objects.js";
import { paintHeat, paintLayer, paintMask, paintOverlay } from "./paint.js";
import { claims } from "./regions.js";
import { scoreAt, seedOf } from "./scores.js";

export const PANELS = [
  ["image", "Image"],
  ["seed", "Seed map"],
  ["refined", "Refined map"],
  ["mask", "Mask"],
  ["overlay", "Overlay"],
];

const KEPT = 48; // objects whose scores are kept

export class Pictures {
  constructor(app, canvas) {
    this.app = app;
    this.canvas = canvas ?? document.createElement("canvas");
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.scores = new Map(); // object id -> {maps, iteration, buffer}
    this.claims = new Map(); // object id -> {parts it was made of, buffer}, of those that were corrected
  }

  setImage(bitmap, width, height) {
    this.width = this.canvas.width = width;
    this.height = this.canvas.height = height;
    this.context.drawImage(bitmap, 0, 0, width, height);
    const area = width * height;
    this.pixels = new Uint32Array(this.context.getImageData(0, 0, width, height).data.buffer);
    this.data = new ImageData(width, height);
    this.out = new Uint32Array(this.data.data.buffer);
    this.labels = new Uint8Array(area);
    this.best = new Float32Array(area);
    this.heat = new Float32Array(area);
    this.spare = new Float32Array(area);
    this.scores.clear();
    this.claims.clear();
    this.painted = this.layerSignature = null;
    this.put(this.pixels);
  }

  put(pixels) {
    if (pixels !== this.out) this.out.set(pixels);
    this.context.putImageData(this.data, 0, 0);
  }

  // Scores of an object at this size; computed anew only when its map changed. Of many objects, those beyond the first
  // `KEPT` share one buffer: their scores hold only until the next object's are asked for.
  scoresOf(object) {
    const maps = this.app.solver.mapsOf(object);
    if (!maps) return null;
    const iteration = this.app.iterationOf(object);
    const kept = this.scores.get(object.id);
    if (kept && kept.maps === maps && kept.iteration === iteration) return kept.buffer;
    const isKept = kept || this.scores.size < KEPT;
    const buffer = kept?.buffer ?? (isKept ? new Float32Array(this.width * this.height) : this.heat);
    scoreAt(this.app, maps, object, iteration, this.width, this.height, buffer);
    if (isKept) this.scores.set(object.id, { maps, iteration, buffer });
    return buffer;
  }

  // What an object asks for each pixel with, and the threshold for it; null while its maps are not there.
  claimOf(object) {
    const maps = this.app.solver.mapsOf(object);
    if (!maps || !isCorrected(object)) return maps && { scores: this.scoresOf(object), threshold: object.threshold };
    const kept = this.claims.get(object.id);
    const { threshold, strokes, clean, marks } = object;
    const parts = [maps, this.app.iterationOf(object), threshold, strokes, clean, marks];
    if (kept && parts.every((part, i) => part === kept.parts[i])) return { scores: kept.buffer, threshold: 0 };
    const isKept = kept || this.claims.size < KEPT;
    const buffer = kept?.buffer ?? (isKept ? new Float32Array(this.width * this.height) : this.spare);
    claims(this.scoresOf(object), object, this, this.app.image, buffer);
    if (isKept) this.claims.set(object.id, { parts, buffer });
    return { scores: buffer, threshold: 0 };
  }

  // Labels of what is shown: k + 1 is the k-th of the returned objects.
  decide() {
    const { document: doc, solver } = this.app;
    for (const kept of [this.scores, this.claims]) {
      for (const id of kept.keys()) if (!doc.visible.some((object) => object.id === id)) kept.delete(id);
    }
    const objects = doc.visible.filter((object) => solver.mapsOf(object));
    const claimOf = (object) => this.claimOf(object);
    decide(
      (function* () {
        for (const object of objects) yield claimOf(object);
      })(),
      this.labels,
      this.best,
    );
    this.#count(objects);
    return objects;
  }

  #count(objects) {
    const areas = new Uint32Array(256);
    for (const label of this.labels) areas[label]++;
    this.counts = new Map(objects.map(({ id }, k) => [id, areas[k + 1]]));
  }

  // Whether an object that is shown has no pixel, as of the last picture of labels.
  isEmpty(object) {
    return this.counts?.get(object.id) === 0;
  }

  // What decides a picture: while it stays the same, zoom and pan need no new pixels.
  signature(panel) {
    const { document: doc, solver, subject } = this.app;
    const each = (object) => [
      object.id,
      solver.mapsOf(object)?.serial,
      this.app.iterationOf(object),
      object.threshold,
      object.colour,
      isCorrected(object) && JSON.stringify([object.clean, object.strokes.map(({ order }) => order), object.marks]),
    ];
    return [panel, doc.now.opacity, subject?.id, ...doc.visible.map(each)].join();
  }

  paint(panel) {
    const signature = this.signature(panel);
    if (signature === this.painted && panel !== "image") return undefined;
    this.painted = signature;
    if (panel === "image") return this.put(this.pixels);
    if (panel === "seed" || panel === "refined") return this.paintMap(panel === "seed");
    const colours = this.decide().map((object) => object.colour);
    if (panel === "mask") paintMask(this.labels, colours, this.out);
    else
      paintOverlay(this.pixels, this.labels, this.width, this.height, colours, this.app.document.now.opacity, this.out);
    return this.put(this.out);
  }

  // The overlay without the image: the objects' colours alone, transparent elsewhere.
  layer() {
    const { opacity } = this.app.document.now;
    const signature = this.signature("layer");
    this.layerCanvas ??= document.createElement("canvas");
    if (this.layerSignature === signature) return this.layerCanvas;
    this.layerSignature = signature;
    const colours = this.decide().map((object) => object.colour);
    const data = new ImageData(this.width, this.height);
    paintLayer(this.labels, this.width, this.height, colours, opacity, new Uint32Array(data.data.buffer));
    [this.layerCanvas.width, this.layerCanvas.height] = [this.width, this.height];
    this.layerCanvas.getContext("2d").putImageData(data, 0, 0);
    return this.layerCanvas;
  }

  paintMap(seed) {
    const object = this.app.subject;
    const maps = object && this.app.solver.mapsOf(object);
    if (!maps) this.heat.fill(0);
    else if (seed) {
      const { values, width, height } = seedOf(maps, object);
      upsample(values, width, height, this.width, this.height, this.heat);
    } else scoreAt(this.app, maps, object, this.app.iterationOf(object), this.width, this.height, this.heat);
    paintHeat(this.heat, this.app.heatTable, this.out);
    this.put(this.out);
  }
}
