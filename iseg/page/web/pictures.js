// The five pictures of an image at one size: image, seed map, refined map, mask, overlay. The stage has one of these at
// view size, the strip below it one at thumbnail size.

import { decide, unit, upsample } from "./maths.js";
import { paintHeat, paintMask, paintOverlay } from "./paint.js";
import { mapAt } from "./solver.js";

export const PANELS = [
  ["image", "Image"],
  ["seed", "Seed map"],
  ["refined", "Refined map"],
  ["mask", "Mask"],
  ["overlay", "Overlay"],
];

export class Pictures {
  constructor(app, canvas) {
    this.app = app;
    this.canvas = canvas ?? document.createElement("canvas");
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.scores = new Map(); // object id -> {map, buffer}
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
    this.scores.clear();
    this.painted = null;
    this.put(this.pixels);
  }

  put(pixels) {
    if (pixels !== this.out) this.out.set(pixels);
    this.context.putImageData(this.data, 0, 0);
  }

  // Scores of an object at this size; computed anew only when its map changed.
  scoresOf(object) {
    const maps = this.app.solver.mapsOf(object);
    if (!maps) return null;
    const iteration = this.app.iterationOf(object);
    const kept = this.scores.get(object.id);
    if (kept && kept.maps === maps && kept.iteration === iteration) return kept.buffer;
    const buffer = kept?.buffer ?? new Float32Array(this.width * this.height);
    upsample(unit(mapAt(maps, object, iteration)), maps.side, this.width, this.height, buffer);
    this.scores.set(object.id, { maps, iteration, buffer });
    return buffer;
  }

  // Labels of what is shown: k + 1 is the k-th of the returned objects.
  decide() {
    const objects = this.app.document.visible;
    for (const id of this.scores.keys()) if (!objects.some((object) => object.id === id)) this.scores.delete(id);
    const scores = objects.map((object) => this.scoresOf(object));
    const thresholds = objects.filter((_, k) => scores[k]).map((object) => object.threshold);
    const known = scores.filter(Boolean);
    if (!known.length) this.labels.fill(0);
    else decide(known, thresholds, this.labels, this.best);
    return objects.filter((_, k) => scores[k]);
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

  paintMap(seed) {
    const object = this.app.subject;
    const maps = object && this.app.solver.mapsOf(object);
    if (!maps) this.heat.fill(0);
    else {
      const map = mapAt(maps, object, seed ? 0 : this.app.iterationOf(object));
      upsample(unit(map), maps.side, this.width, this.height, this.heat);
    }
    paintHeat(this.heat, this.app.heatTable, this.out);
    this.put(this.out);
  }
}
