// What a click would give, shown while the pointer rests: an option. Only the map after the object's own iterations is
// asked for, and only for the place where the pointer rests.

import { claims } from "./regions.js";
import { create, toRequest } from "./objects.js";
import { rgb } from "./paint.js";
import { scoreAt } from "./scores.js";

const REST = 25; // ms
const KEY = "iseg-preview";

export class Preview {
  constructor(app) {
    this.app = app;
    this.canvas = document.createElement("canvas");
    this.isOn = false;
    this.timer = null;
    this.turn = 0;
    this.shown = null; // {point, region, took}
    this.#set(read());
  }

  toggle() {
    this.#set(!this.isOn);
    try {
      localStorage.setItem(KEY, String(this.isOn));
    } catch {
      // no storage is allowed: the choice holds until the page is left
    }
  }

  #set(isOn) {
    this.isOn = isOn;
    this.app.refs.preview.setAttribute("aria-pressed", String(isOn));
    this.clear();
  }

  clear() {
    clearTimeout(this.timer);
    this.turn++;
    if (!this.shown) return;
    this.shown = null;
    this.app.draw();
  }

  // The pointer is at a pixel (x, y) of the image, or outside (null).
  hover(point) {
    if (!this.isOn) return;
    this.clear();
    const { app } = this;
    if (!point || app.tool !== "point" || !app.image?.prepared || app.isSubtracting) return;
    this.timer = setTimeout(() => this.#ask(point), REST);
  }

  // The object as a click at a point would make it.
  #objectWith(point) {
    const { document: doc } = this.app;
    const { selected } = doc;
    if (!selected && doc.isFull) return null;
    const base = selected ?? create({ ...doc.now, objects: [...doc.now.objects] });
    const rounded = point.map((value) => Math.floor(value * 10) / 10);
    return { ...base, marks: { ...base.marks, points: [...base.marks.points, rounded] } };
  }

  async #ask(point) {
    const { turn, app } = this;
    const { image } = app;
    const object = this.#objectWith(point);
    if (!object) return;
    const start = performance.now();
    try {
      const { strokes, clean, ...wanted } = toRequest(object);
      const details = { object: wanted, slot: "preview", only_last: true };
      const answer = await app.request("solve", details, image, () => turn === this.turn);
      if (turn !== this.turn || image !== app.image) return;
      const maps = app.solver.decode(answer);
      this.shown = { point, region: this.#paint(maps, object), took: performance.now() - start };
      app.draw();
    } catch {
      // no preview: the click itself will say what is wrong
    }
  }

  // The object's region at view size, painted in its colour.
  #paint(maps, object) {
    const { pictures } = this.app.stage;
    const { width, height } = pictures;
    const scores = scoreAt(this.app, maps, object, object.iterations, width, height, new Float32Array(width * height));
    const asked = claims(scores, object, pictures, this.app.image, new Float32Array(width * height));
    const data = new ImageData(width, height);
    const out = new Uint32Array(data.data.buffer);
    const [r, g, b] = rgb(object.colour);
    const colour = ((150 << 24) | (b << 16) | (g << 8) | r) >>> 0;
    const region = Uint8Array.from(asked, (value) => (value > 0 ? 1 : 0));
    for (let i = 0; i < out.length; i++) out[i] = region[i] ? colour : 0;
    [this.canvas.width, this.canvas.height] = [width, height];
    this.canvas.getContext("2d").putImageData(data, 0, 0);
    return region;
  }

  draw({ context, view }) {
    if (!this.shown) return;
    const { image } = this.app;
    context.drawImage(this.canvas, view.x, view.y, image.width * view.scale, image.height * view.scale);
  }
}

function read() {
  try {
    return localStorage.getItem(KEY) === "true";
  } catch {
    return false;
  }
}
