// What lies under the pointer: a mark of the selected object, or the object whose mask is there.

const NEAR = { mouse: 9, touch: 22 }; // screen pixels

// The mark of an object at a place of the stage: {id, kind, index, corner}, null if there is none. `corner` is the index
// of a box's coordinate pair that is dragged alone, else null.
export function markAt(app, at, pointerType = "mouse", onlyDots = false) {
  const object = app.document.selected;
  if (!object || object.hidden) return null;
  const near = NEAR[pointerType] ?? NEAR.mouse;
  const place = (point) => app.stage.view.toStage(...point);
  const far = (point) => Math.hypot(place(point)[0] - at[0], place(point)[1] - at[1]);
  const { id, marks } = object;
  for (const kind of ["points", "negative"]) {
    const index = marks[kind].findLastIndex((point) => far(point) <= near);
    if (index >= 0) return { id, kind, index, corner: null };
  }
  if (onlyDots) return null;
  for (const [index, box] of marks.boxes.entries()) {
    const corner = corners(box).findIndex(([i, j]) => far([box[i], box[j]]) <= near);
    if (corner >= 0) return { id, kind: "boxes", index, corner };
    const outline = [...corners(box), corners(box)[0]].map(([i, j]) => [box[i], box[j]]);
    if (isAlong(outline.map(place), at, near)) return { id, kind: "boxes", index, corner: null };
  }
  const index = marks.lines.findLastIndex((line) => isAlong(line.map(place), at, near));
  return index >= 0 ? { id, kind: "lines", index, corner: null } : null;
}

// Indices of (x, y) in a box for its four corners, in order around it.
const corners = () => [
  [0, 1],
  [2, 1],
  [2, 3],
  [0, 3],
];

function isAlong(points, [x, y], near) {
  return points.some(([ax, ay], k) => {
    const [bx, by] = points[Math.min(k + 1, points.length - 1)];
    const [dx, dy] = [bx - ax, by - ay];
    const along = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
    return Math.hypot(x - ax - along * dx, y - ay - along * dy) <= near;
  });
}

// A mark moved by (dx, dy) pixels of the image, within it.
export function moved(mark, { kind, corner }, dx, dy, inside) {
  if (kind === "boxes" && corner !== null) {
    const box = [...mark];
    const [i, j] = corners(box)[corner];
    [box[i], box[j]] = inside([box[i] + dx, box[j] + dy]);
    return box;
  }
  if (kind === "boxes") return [...inside([mark[0] + dx, mark[1] + dy]), ...inside([mark[2] + dx, mark[3] + dy])];
  if (kind === "lines") return mark.map(([x, y]) => inside([x + dx, y + dy]));
  return inside([mark[0] + dx, mark[1] + dy]);
}

// The object whose mask is at a pixel of the image, null for the background.
export function objectAt(app, [x, y]) {
  const { image, stage } = app;
  const { pictures } = stage;
  const objects = pictures.decide();
  const column = Math.min(pictures.width - 1, Math.floor((x * pictures.width) / image.width));
  const row = Math.min(pictures.height - 1, Math.floor((y * pictures.height) / image.height));
  return objects[pictures.labels[row * pictures.width + column] - 1] ?? null;
}
