// The large canvas: the chosen picture under zoom and pan, and the marks on it.

import { Pictures } from "./pictures.js";
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
    this.draft = null; // a line or box that is being drawn
    this.cursor = null; // the keyboard's cross-hair, in image pixels
    new ResizeObserver(() => this.resize()).observe(box);
  }

  setImage(image) {
    this.pictures.setImage(image.bitmap, image.viewWidth, image.viewHeight);
    this.cursor = this.draft = null;
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
    this.app.drawNow();
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
    context.drawImage(this.pictures.canvas, view.x, view.y, image.width * view.scale, image.height * view.scale);
    if (!this.app.peeking && (panel === "image" || panel === "overlay")) this.drawMarks();
    if (this.cursor && document.activeElement === canvas) this.drawCursor();
  }

  drawMarks() {
    const { document: doc } = this.app;
    for (const object of doc.now.objects) {
      if (object.marks && !object.hidden) this.drawObject(object, object.id === doc.now.selected);
    }
    if (this.draft) this.drawObject({ colour: this.draft.colour, marks: this.draft.marks }, true);
  }

  drawObject({ marks, colour }, isSelected) {
    const { context } = this;
    context.globalAlpha = isSelected ? 1 : 0.55;
    for (const line of marks.lines ?? []) this.stroke(line, colour, false);
    for (const [x0, y0, x1, y1] of marks.boxes ?? []) {
      this.stroke(
        [
          [x0, y0],
          [x1, y0],
          [x1, y1],
          [x0, y1],
          [x0, y0],
        ],
        colour,
        true,
      );
    }
    for (const point of marks.points ?? []) this.dot(point, colour, "+");
    for (const point of marks.negative ?? []) this.dot(point, "#111418", "−");
    context.globalAlpha = 1;
  }

  stroke(points, colour, isDashed) {
    const { context, view } = this;
    context.beginPath();
    points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](...view.toStage(x, y)));
    if (points.length === 1) context.lineTo(...view.toStage(points[0][0] + 0.01, points[0][1]));
    context.lineCap = context.lineJoin = "round";
    context.setLineDash([]);
    context.strokeStyle = "#fff";
    context.lineWidth = 7;
    context.stroke();
    if (isDashed) context.setLineDash([7, 5]);
    context.strokeStyle = colour;
    context.lineWidth = 4;
    context.stroke();
    context.setLineDash([]);
  }

  dot([x, y], colour, sign) {
    const { context } = this;
    const [sx, sy] = this.view.toStage(x, y);
    context.beginPath();
    context.arc(sx, sy, 8, 0, 7);
    context.fillStyle = colour;
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = "#fff";
    context.stroke();
    context.beginPath();
    context.moveTo(sx - 4, sy);
    context.lineTo(sx + 4, sy);
    if (sign === "+") {
      context.moveTo(sx, sy - 4);
      context.lineTo(sx, sy + 4);
    }
    context.stroke();
  }

  drawCursor() {
    const { context } = this;
    const [x, y] = this.view.toStage(...this.cursor);
    for (const [colour, width] of [
      ["#fff", 4],
      ["#111418", 1.5],
    ]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      for (const [dx, dy] of [
        [1, 0],
        [-1, 0],
        [0, 1],
        [0, -1],
      ]) {
        context.moveTo(x + 5 * dx, y + 5 * dy);
        context.lineTo(x + 16 * dx, y + 16 * dy);
      }
      context.stroke();
    }
  }
}
