// The large canvas: the chosen picture under zoom and pan, and the marks on it.

import { drawBrush, drawCursor, drawMarks } from "./markings.js";
import { Pictures } from "./pictures.js";
import { Tiles } from "./tiles.js";
import { View } from "./view.js";

const SHARP = 3; // from this zoom on, pixels are shown as squares

export class Stage {
  constructor(app, box, canvas) {
    this.app = app;
    this.box = box;
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.view = new View();
    this.pictures = new Pictures(app);
    this.tiles = new Tiles(app);
    this.draft = null; // a line, box or stroke that is being drawn
    this.pointer = null; // where the brush is, on the stage
    this.cursor = null; // the keyboard's cross-hair, in image pixels
    new ResizeObserver(() => this.resize()).observe(box);
  }

  setImage(image) {
    this.pictures.setImage(image.bitmap, image.viewWidth, image.viewHeight);
    this.cursor = this.draft = null;
    this.tiles.forget();
    this.fit();
  }

  fit() {
    const { image } = this.app;
    if (image) this.view.fit(image.width, image.height, this.box.clientWidth, this.box.clientHeight);
    this.app.draw();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.box.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.box.clientHeight * ratio));
    if (this.view.fitted) this.fit();
    this.draw(); // the canvas alone: what changes the layout waits for the next frame, else the observer never rests
    this.app.draw();
  }

  zoom(factor, x = this.box.clientWidth / 2, y = this.box.clientHeight / 2) {
    this.view.zoom(factor, x, y);
    this.app.draw();
  }

  draw() {
    const { image } = this.app;
    const { context, view, canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!image) return;
    const panel = this.app.peeking ? "image" : this.app.panel;
    this.pictures.paint(panel);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const zoom = (view.scale * image.width) / image.viewWidth;
    context.imageSmoothingEnabled = zoom * ratio < SHARP;
    const { x, y, scale } = view;
    context.drawImage(this.pictures.canvas, x, y, image.width * scale, image.height * scale);
    if (panel === "image" || panel === "overlay") this.drawTile(panel === "overlay");
    if (!this.app.peeking) this.app.preview.draw(this);
    if (!this.app.peeking && (panel === "image" || panel === "overlay")) drawMarks(this);
    if (!this.app.peeking) this.app.modes[this.app.tool]?.draw?.(this);
    drawBrush(this);
    if (this.cursor && document.activeElement === canvas) drawCursor(this);
  }

  // The image at its own resolution, and the objects' colours over it again.
  drawTile(withObjects) {
    const tile = this.tiles.now();
    if (!tile) return;
    const { context, view } = this;
    const [x0, y0, x1, y1] = tile.box;
    const place = [...view.toStage(x0, y0), (x1 - x0) * view.scale, (y1 - y0) * view.scale];
    context.drawImage(tile.picture, ...place);
    if (!withObjects) return;
    const sharp = this.tiles.layerOf(tile);
    if (sharp) {
      context.drawImage(sharp, ...place);
      return;
    }
    const { image } = this.app;
    const [sx, sy] = [image.viewWidth / image.width, image.viewHeight / image.height];
    context.drawImage(this.pictures.layer(), x0 * sx, y0 * sy, (x1 - x0) * sx, (y1 - y0) * sy, ...place);
  }

  // Lay what a box of the image holds into the stage.
  show([x0, y0, x1, y1]) {
    const { clientWidth: width, clientHeight: height } = this.box;
    const { view } = this;
    view.zoom(Math.min(width / (x1 - x0), height / (y1 - y0)) / 1.3 / view.scale, 0, 0);
    const [x, y] = view.toStage((x0 + x1) / 2, (y0 + y1) / 2);
    view.pan(width / 2 - x, height / 2 - y);
    this.app.draw();
  }

  // Zoom to the selected object: its mask, or where it has none all of the image.
  zoomToObject() {
    const { app, pictures } = this;
    const label = pictures.decide().indexOf(app.document.selected) + 1;
    const box = label ? boundsOf(pictures, label) : null;
    if (!box) return this.fit();
    const [sx, sy] = [app.image.width / pictures.width, app.image.height / pictures.height];
    return this.show([box[0] * sx, box[1] * sy, box[2] * sx, box[3] * sy]);
  }
}

function boundsOf({ labels, width }, label) {
  const box = [Infinity, Infinity, 0, 0];
  labels.forEach((each, i) => {
    if (each !== label) return;
    const [x, y] = [i % width, Math.floor(i / width)];
    [box[0], box[1]] = [Math.min(box[0], x), Math.min(box[1], y)];
    [box[2], box[3]] = [Math.max(box[2], x + 1), Math.max(box[3], y + 1)];
  });
  return box[2] ? box : null;
}
