// Regions without words: the one under the pointer is shown, a click makes it an object, Shift joins several.

import { decodeNumbers } from "./maths.js";

export class Everything {
  hint = "Click a region to make it an object; Shift+click adds one to the selected object or takes it away.";

  constructor(app, refs) {
    this.app = app;
    this.refs = refs;
    this.forget();
    refs.coarse.addEventListener("input", () => this.#ask());
  }

  // Another image: nothing is known of it yet.
  forget() {
    this.found = null; // {width, height, labels, scores, coarse, outlines}
    this.hovered = null; // the number of a region
    this.asked = 0;
    if (this.app.tool === "everything") this.#ask();
  }

  enter() {
    this.refs.everything.hidden = false;
    if (!this.found) this.#ask();
  }

  leave() {
    this.refs.everything.hidden = true;
    this.hovered = null;
  }

  hover(point) {
    const number = point ? this.#at(point) : null;
    if (number === this.hovered) return;
    this.hovered = number;
    this.app.draw();
  }

  press(point, event) {
    const number = this.#at(point);
    if (event.button !== 0 || number === null) return;
    const problem = this.app.document.addPiece(this.found.coarse, number, event.shiftKey);
    if (problem) this.app.messages.hint(problem);
  }

  // The borders of all regions, and the hovered one filled.
  draw({ context, view, app }) {
    if (!this.found) return;
    const { x, y, scale } = view;
    const place = [x, y, app.image.width * scale, app.image.height * scale];
    context.drawImage(this.found.outlines, ...place);
    if (this.hovered !== null) context.drawImage(this.#filled(), ...place);
  }

  // Ask for the regions at the slider's place; a later request takes the place of an earlier one.
  async #ask() {
    const { app, refs } = this;
    const { image } = app;
    if (!image) return;
    const serial = ++this.asked;
    const isWanted = () => serial === this.asked && image === app.image;
    app.progress.watch();
    try {
      const answer = await app.request("everything", { coarse: Number(refs.coarse.value) }, image, isWanted);
      if (isWanted()) this.#take(answer);
    } catch (error) {
      if (!isWanted() || error.code === "superseded") return;
      if (error.code === "loading") setTimeout(() => isWanted() && this.#ask(), 500);
      else app.messages.error(error.message);
    }
  }

  #take({ labels, width, height, scores, coarse }) {
    const found = { labels: decodeNumbers(labels), width, height, scores, coarse };
    found.outlines = painted(found, (i) => (isEdge(found, i) ? 0xd0ffffff : 0));
    this.found = found;
    this.hovered = null;
    this.fill = null;
    this.refs["coarse-text"].textContent = `${scores.length} region${scores.length > 1 ? "s" : ""}`;
    this.app.draw();
  }

  #at([x, y]) {
    if (!this.found) return null;
    const { labels, width, height } = this.found;
    const { image } = this.app;
    const [column, row] = [Math.floor((x * width) / image.width), Math.floor((y * height) / image.height)];
    return labels[Math.min(height - 1, row) * width + Math.min(width - 1, column)];
  }

  #filled() {
    if (this.fill?.number !== this.hovered) {
      const { labels } = this.found;
      const number = this.hovered;
      this.fill = { number, picture: painted(this.found, (i) => (labels[i] === number ? 0x80ffc43b : 0)) };
    }
    return this.fill.picture;
  }
}

// A canvas of packed pixels, 0xAABBGGRR, as a function of the place says.
function painted({ width, height }, colour) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const data = context.createImageData(width, height);
  const pixels = new Uint32Array(data.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = colour(i);
  context.putImageData(data, 0, 0);
  return canvas;
}

function isEdge({ labels, width }, i) {
  const label = labels[i];
  const isLast = i % width === width - 1;
  return (!isLast && labels[i + 1] !== label) || (i + width < labels.length && labels[i + width] !== label);
}
