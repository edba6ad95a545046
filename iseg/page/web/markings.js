// What is drawn over the picture on the stage: marks, the brush, the keyboard's cross-hair.

export function drawMarks(stage) {
  const { document: doc, picked } = stage.app;
  for (const object of doc.now.objects) {
    if (object.hidden) continue;
    const isSelected = object.id === doc.now.selected;
    drawObject(stage, object, isSelected, isSelected && picked?.id === object.id ? picked : null);
  }
  if (stage.draft?.marks) drawObject(stage, stage.draft, true, null);
}

function drawObject(stage, { marks, colour }, isSelected, picked) {
  const { context } = stage;
  const isPicked = (kind, index) => picked?.kind === kind && picked.index === index;
  context.globalAlpha = isSelected ? 1 : 0.55;
  (marks.lines ?? []).forEach((line, k) => stroke(stage, line, colour, false, isPicked("lines", k)));
  (marks.boxes ?? []).forEach(([x0, y0, x1, y1], k) => {
    const outline = [
      [x0, y0],
      [x1, y0],
      [x1, y1],
      [x0, y1],
      [x0, y0],
    ];
    stroke(stage, outline, colour, true, isPicked("boxes", k));
  });
  (marks.points ?? []).forEach((point, k) => dot(stage, point, colour, "+", isPicked("points", k)));
  (marks.negative ?? []).forEach((point, k) => dot(stage, point, "#111418", "−", isPicked("negative", k)));
  context.globalAlpha = 1;
}

function stroke({ context, view }, points, colour, isDashed, isPicked) {
  context.beginPath();
  points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](...view.toStage(x, y)));
  if (points.length === 1) context.lineTo(...view.toStage(points[0][0] + 0.01, points[0][1]));
  context.lineCap = context.lineJoin = "round";
  context.setLineDash([]);
  context.strokeStyle = "#fff";
  context.lineWidth = isPicked ? 11 : 7;
  context.stroke();
  if (isDashed) context.setLineDash([7, 5]);
  context.strokeStyle = colour;
  context.lineWidth = isPicked ? 6 : 4;
  context.stroke();
  context.setLineDash([]);
}

function dot({ context, view }, [x, y], colour, sign, isPicked) {
  const [sx, sy] = view.toStage(x, y);
  context.beginPath();
  context.arc(sx, sy, isPicked ? 11 : 8, 0, 7);
  context.fillStyle = colour;
  context.fill();
  context.lineWidth = isPicked ? 3.5 : 2;
  context.strokeStyle = "#fff";
  context.stroke();
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(sx - 4, sy);
  context.lineTo(sx + 4, sy);
  if (sign === "+") {
    context.moveTo(sx, sy - 4);
    context.lineTo(sx, sy + 4);
  }
  context.stroke();
}

// The stroke that is being painted, and the circle of the brush where the pointer is.
export function drawBrush({ context, view, draft, pointer, app }) {
  if (draft?.brush) {
    const { points, radius, erases } = draft.brush;
    context.beginPath();
    points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](...view.toStage(x, y)));
    if (points.length === 1) context.lineTo(...view.toStage(points[0][0] + 0.01, points[0][1]));
    context.lineCap = context.lineJoin = "round";
    context.globalAlpha = 0.6;
    context.strokeStyle = erases ? "#ffffff" : draft.colour;
    context.lineWidth = 2 * radius * view.scale;
    context.stroke();
    context.globalAlpha = 1;
  }
  if (!pointer) return;
  for (const [colour, width] of [
    ["#fff", 3],
    ["#111418", 1.2],
  ]) {
    context.beginPath();
    context.arc(...pointer, Math.max(2, app.brushRadius * view.scale), 0, 7);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }
}

export function drawCursor({ context, view, cursor }) {
  const [x, y] = view.toStage(...cursor);
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
