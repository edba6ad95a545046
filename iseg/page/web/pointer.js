// Mouse, pen and touch on the stage: what a press and a drag mean in each tool.
//
// A tool may have a file of its own: `app.modes[tool]` is an object with `hint` (the line above the stage), `hover(point)`
// (the pointer is at a pixel (x, y) of the image, or null: outside), `press(point, event)` (a press within the image) and
// `leave()` (another tool is chosen).

import { moveCursor } from "./cursor.js";
import { add, boxOf, clamp, isInside, moveMark, paint, removeMark } from "./marking.js";
import { markAt, objectAt } from "./picking.js";
import { Pinch } from "./pinch.js";
import { BRUSHES } from "./tools.js";

const NEAR = 3; // screen pixels: points of a line closer than this are left out, a drag shorter than this is a click
const WHEEL = 1.0015;

export function listen(app) {
  const { stage } = app;
  const { canvas } = stage;
  const pinch = new Pinch(app, place);
  let drag = null;

  function place(event) {
    const { left, top } = canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!app.image || app.isGalleryOpen) return;
    canvas.focus({ preventScroll: true });
    stage.cursor = null;
    app.preview.clear();
    if (pinch.down(event)) {
      cancel(); // two fingers move the view: what the first one began is no mark
      return;
    }
    drag = begin(app, event, place(event));
    if (drag) capture(canvas, event.pointerId);
    event.preventDefault();
  });

  canvas.addEventListener("pointermove", (event) => {
    if (pinch.move(event)) return;
    const at = place(event);
    stage.pointer = BRUSHES.includes(app.tool) ? at : null;
    if (drag) go(app, drag, at);
    else hover(app, at);
    if (drag || stage.pointer) app.draw();
  });

  const cancel = () => {
    drag = stage.draft = null;
    app.draw();
  };
  app.cancelDrag = () => {
    const isDragging = drag !== null;
    if (isDragging && drag.kind === "mark" && drag.moved) app.document.undo();
    cancel();
    return isDragging;
  };
  canvas.addEventListener("pointerup", (event) => {
    if (!pinch.up(event) && drag) end(app, drag);
    cancel();
  });
  canvas.addEventListener("pointercancel", (event) => {
    pinch.up(event);
    cancel();
  });
  canvas.addEventListener("pointerleave", () => {
    stage.pointer = null;
    hover(app, null);
    app.draw();
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => turn(app, event, place(event)), { passive: false });
  canvas.addEventListener("keydown", (event) => moveCursor(app, event));
  canvas.addEventListener("blur", () => app.draw());
}

// The drag goes on outside of the canvas; a pointer that is gone by now (a busy browser tells late) has no more moves.
function capture(canvas, pointer) {
  try {
    canvas.setPointerCapture(pointer);
  } catch {
    // its "up" was lost with it; the next press begins anew
  }
}

function hover(app, at) {
  const point = at && app.image ? app.stage.view.toImage(...at) : null;
  const inside = point && isInside(app, point) ? point : null;
  app.modes[app.tool]?.hover(inside);
  app.preview.hover(inside);
}

// What a press begins: {kind, ...}, null if it is done at once or means nothing.
function begin(app, event, at) {
  const { tool, stage } = app;
  const point = stage.view.toImage(...at);
  const removes = event.button === 2 || event.altKey || app.isSubtracting;
  const base = { start: at, last: at, points: [clamp(app, point)], removes };
  if (event.button === 1 || app.isSpaceHeld || (event.button === 0 && tool === "text")) {
    app.isSpaceUsed = app.isSpaceHeld;
    return { ...base, kind: "pan" };
  }
  if (app.modes[tool]) return isInside(app, point) ? void app.modes[tool].press(point, event) : null;
  if (BRUSHES.includes(tool)) return { ...base, kind: "brush", removes: removes || tool === "eraser" };
  const mark = markAt(app, at, event.pointerType, tool !== "select");
  if (mark && event.button === 2) return void removeMark(app, mark);
  const isPlain = event.button === 0 && !event.altKey;
  if (mark && isPlain && ["select", "point"].includes(tool)) return { ...base, kind: "mark", mark };
  if (tool === "select") return event.button === 0 ? { ...base, kind: "select", point } : null;
  if (tool === "box" && isPlain) return { ...base, kind: "box", toSelected: event.shiftKey };
  if (!isInside(app, point)) return null;
  if (removes || tool === "point") {
    const kind = removes ? "negative" : "points";
    if (event.pointerType === "touch") return { ...base, kind: "tap", of: kind }; // it may become a pinch
    return void add(app, kind, point);
  }
  return event.button === 0 ? { ...base, kind: tool } : null;
}

function go(app, drag, at) {
  const { stage } = app;
  const [dx, dy] = [at[0] - drag.last[0], at[1] - drag.last[1]];
  const isFar = Math.hypot(at[0] - drag.start[0], at[1] - drag.start[1]) >= NEAR;
  if (drag.kind === "select" && isFar) drag.kind = "pan";
  if (drag.kind === "pan") {
    stage.view.pan(dx, dy);
    drag.last = at;
  } else if (drag.kind === "mark" && (drag.moved || isFar)) {
    moveMark(app, drag, dx / stage.view.scale, dy / stage.view.scale);
    drag.last = at;
  } else if (["line", "box", "brush"].includes(drag.kind) && Math.hypot(dx, dy) >= spacing(app, drag)) {
    drag.points.push(clamp(app, stage.view.toImage(...at)));
    drag.last = at;
  }
  stage.draft = draftOf(app, drag);
}

// Points of a stroke lie at most a quarter of the brush's radius apart, on the screen.
const spacing = (app, { kind }) =>
  kind === "brush" ? Math.max(NEAR, (app.brushRadius * app.stage.view.scale) / 4) : NEAR;

function end(app, drag) {
  const { kind, points, removes } = drag;
  if (kind === "line") add(app, "lines", points);
  else if (kind === "tap") add(app, drag.of, points[0]);
  else if (kind === "brush") paint(app, points, removes);
  else if (kind === "box" && points.length > 1) {
    const box = boxOf(points);
    if (box[2] - box[0] >= 1 && box[3] - box[1] >= 1) add(app, "boxes", box, drag.toSelected);
  } else if (kind === "mark") {
    app.picked = drag.mark;
    app.document.seal();
  } else if (kind === "select") {
    app.picked = null;
    const object = isInside(app, drag.point) ? objectAt(app, drag.point) : null;
    app.document.adjust((now) => (now.selected = object?.id ?? now.selected));
  }
}

function draftOf(app, { kind, points, removes }) {
  if (kind === "brush") return { brush: { points, radius: app.brushRadius, erases: removes }, colour: colourOf(app) };
  if (kind === "line") return { colour: colourOf(app), marks: { lines: [points] } };
  return kind === "box" ? { colour: "#3b5bdb", marks: { boxes: [boxOf(points)] } } : null;
}

const colourOf = (app) => app.document.selected?.colour ?? "#3b5bdb";

function turn(app, event, at) {
  if (!app.image || app.isGalleryOpen) return;
  event.preventDefault();
  if (event.shiftKey) {
    app.stage.view.pan(-event.deltaY - event.deltaX, 0);
    app.draw();
  } else app.stage.zoom(WHEEL ** -event.deltaY, ...at);
}
