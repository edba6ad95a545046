// Mouse, pen and touch on the stage: what a press and a drag mean in each tool. Also the keyboard's cross-hair.

const NEAR = 3; // screen pixels: points of a line closer than this are left out, boxes smaller than this ignored
const WHEEL = 1.0015;

export function listen(app) {
  const { stage } = app;
  const { canvas } = stage;
  let drag = null;

  const place = (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (!app.image || app.isGalleryOpen) return;
    canvas.focus({ preventScroll: true });
    stage.cursor = null;
    const at = place(event);
    const point = stage.view.toImage(...at);
    const removes = event.button === 2 || event.altKey;
    if (event.button === 1 || (event.button === 0 && (app.tool === "move" || app.tool === "text"))) {
      drag = { kind: "pan", last: at };
    } else if (!isInside(app, point)) {
      return;
    } else if (removes) {
      mark(app, "negative", point);
    } else if (event.button === 0 && app.tool === "point") {
      mark(app, "points", point);
    } else if (event.button === 0) {
      drag = { kind: app.tool, start: at, last: at, points: [point] };
    }
    if (drag) canvas.setPointerCapture(event.pointerId);
    event.preventDefault();
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const at = place(event);
    if (drag.kind === "pan") {
      stage.view.pan(at[0] - drag.last[0], at[1] - drag.last[1]);
      drag.last = at;
    } else if (Math.hypot(at[0] - drag.last[0], at[1] - drag.last[1]) >= NEAR) {
      drag.points.push(clamp(app, stage.view.toImage(...at)));
      drag.last = at;
      stage.draft = draftOf(app, drag);
    }
    app.draw();
  });

  const end = (event) => {
    if (!drag) return;
    const { kind, points } = drag;
    if (event.type === "pointerup" && kind === "line") mark(app, "lines", points);
    if (event.type === "pointerup" && kind === "box" && points.length > 1) {
      const box = boxOf(points);
      if (box[2] - box[0] >= 1 && box[3] - box[1] >= 1) mark(app, "boxes", box);
    }
    drag = stage.draft = null;
    app.draw();
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!app.image) return;
      event.preventDefault();
      if (event.shiftKey) {
        stage.view.pan(-event.deltaY - event.deltaX, 0);
        app.draw();
      } else stage.zoom(WHEEL ** -event.deltaY, ...place(event));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => moveCursor(app, event));
  canvas.addEventListener("blur", () => app.draw());
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function moveCursor(app, event) {
  const { image, stage } = app;
  if (!image || app.isGalleryOpen) return;
  if (!ARROWS[event.key] && event.key !== "Enter") return;
  stage.cursor ??= [image.width / 2, image.height / 2];
  const step = (Math.max(image.width, image.height) / 128) * (event.shiftKey ? 4 : 1);
  if (ARROWS[event.key]) {
    const [dx, dy] = ARROWS[event.key];
    stage.cursor = clamp(app, [stage.cursor[0] + dx * step, stage.cursor[1] + dy * step]);
  } else {
    mark(app, event.altKey ? "negative" : "points", [...stage.cursor]);
  }
  event.preventDefault();
  app.draw();
}

function mark(app, kind, value) {
  const rounded = kind === "lines" ? value.map(round) : round(value);
  if (!app.document.addMark(kind, rounded)) {
    app.messages.hint("First mark what belongs to the object; then right-click what does not.");
  }
}

// Pixels to a tenth: enough for any grid, and short in a saved session.
const round = (values) => values.map((value) => Math.floor(value * 10) / 10);

function draftOf(app, { kind, points }) {
  const target = app.document.selected;
  const colour = kind === "line" && target?.marks ? target.colour : "#3b5bdb";
  return { colour, marks: kind === "line" ? { lines: [points] } : { boxes: [boxOf(points)] } };
}

function boxOf(points) {
  const [[ax, ay], [bx, by]] = [points[0], points.at(-1)];
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}

function isInside({ image }, [x, y]) {
  return x >= 0 && y >= 0 && x < image.width && y < image.height;
}

function clamp({ image }, [x, y]) {
  return [Math.min(Math.max(x, 0), image.width - 0.1), Math.min(Math.max(y, 0), image.height - 0.1)];
}
