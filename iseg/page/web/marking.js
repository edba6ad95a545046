// What the pointer and the keyboard do to marks: add, paint, move and delete them, within the image.

import { moved } from "./picking.js";

export function add(app, kind, value, toSelected = false) {
  const rounded = kind === "lines" ? value.map(round) : round(value);
  const problem = app.document.addMark(kind, rounded, toSelected);
  if (problem) app.messages.hint(problem);
}

export function paint(app, points, erases) {
  const stroke = { points: points.map(round), radius: app.brushRadius, erases };
  const problem = app.document.addStroke(stroke);
  if (problem) app.messages.hint(problem);
}

export function moveMark(app, drag, dx, dy) {
  const { id, kind, index } = drag.mark;
  const tag = `move ${id} ${kind} ${index} ${drag.start}`;
  const inside = (point) => round(clamp(app, point));
  drag.free ??= app.document.selected.marks[kind][index]; // unrounded, so that slow drags do not lose their way
  drag.free = moved(drag.free, drag.mark, dx, dy, (point) => clamp(app, point));
  app.document.edit(id, (object) => (object.marks[kind][index] = moved(drag.free, drag.mark, 0, 0, inside)), tag);
  drag.moved = true;
}

export function removeMark(app, { id, kind, index }) {
  app.picked = null;
  app.document.edit(id, (object) => object.marks[kind].splice(index, 1));
}

// Pixels to a tenth: enough for any grid, and short in a saved session.
const round = (values) => values.map((value) => Math.floor(value * 10) / 10);

export function boxOf(points) {
  const [[ax, ay], [bx, by]] = [points[0], points.at(-1)];
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}

export function isInside({ image }, [x, y]) {
  return x >= 0 && y >= 0 && x < image.width && y < image.height;
}

export function clamp({ image }, [x, y]) {
  return [Math.min(Math.max(x, 0), image.width - 0.1), Math.min(Math.max(y, 0), image.height - 0.1)];
}
