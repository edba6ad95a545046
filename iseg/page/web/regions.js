// What a person corrects by hand, in the browser: brush strokes and clean-up of one object's region. It does what
// iseg.page.corrections does on the server, at the size of the picture that is drawn.

import { isCorrected } from "./objects.js";

const EMPTY_SCORE = 1e-6; // of what clean-up added where the map is zero
const SMOOTHING = 200; // smoothing takes the majority within (shorter side / SMOOTHING) pixels to each side

// Scores of an object -> what it asks for each pixel with: its score where its region is, over 1 where it was painted.
// `picture` has width and height; `image` the size in whose pixels marks and strokes are given.
export function claims(scores, object, picture, image, out) {
  const { width, height } = picture;
  const limit = Math.fround(object.threshold);
  const region = new Uint8Array(width * height);
  for (let i = 0; i < region.length; i++) region[i] = scores[i] >= limit && scores[i] > 0 ? 1 : 0;
  const cleaned = clean(region, object, picture, image);
  for (let i = 0; i < cleaned.length; i++) out[i] = cleaned[i] ? Math.max(scores[i], EMPTY_SCORE) : 0;
  for (const stroke of object.strokes) {
    const claim = stroke.erases ? 0 : 2 + stroke.order;
    cover(stroke, picture, image, (i) => (out[i] = claim));
  }
  return out;
}

// Calls `mark` for each pixel whose centre lies within the stroke's radius of its polyline.
export function cover({ points, radius }, { width, height }, image, mark) {
  const [sx, sy] = [image.width / width, image.height / height];
  for (let k = 0; k < Math.max(1, points.length - 1); k++) {
    const [ax, ay] = points[k];
    const [bx, by] = points[Math.min(k + 1, points.length - 1)];
    const [dx, dy] = [bx - ax, by - ay];
    const length = dx * dx + dy * dy || 1;
    const x0 = Math.max(0, Math.floor((Math.min(ax, bx) - radius) / sx));
    const x1 = Math.min(width, Math.ceil((Math.max(ax, bx) + radius) / sx));
    const y0 = Math.max(0, Math.floor((Math.min(ay, by) - radius) / sy));
    const y1 = Math.min(height, Math.ceil((Math.max(ay, by) + radius) / sy));
    for (let y = y0; y < y1; y++) {
      const py = (y + 0.5) * sy - ay;
      for (let x = x0; x < x1; x++) {
        const px = (x + 0.5) * sx - ax;
        const along = Math.min(1, Math.max(0, (px * dx + py * dy) / length));
        if ((px - along * dx) ** 2 + (py - along * dy) ** 2 <= radius * radius) mark(y * width + x);
      }
    }
  }
}

export function clean(region, object, picture, image) {
  const { clean: wanted, marks } = object;
  if (!isCorrected({ strokes: [], clean: wanted })) return region;
  let now = region;
  if (wanted.clip && marks.boxes.length) now = clip(now, marks.boxes, picture, image);
  const seeds = wanted.clicked ? touched(marks, picture, image) : [];
  if (wanted.clicked || wanted.largest) now = pieces(now, seeds, wanted.largest, picture);
  if (wanted.holes) now = filled(now, picture);
  return wanted.smooth ? smoothed(now, picture) : now;
}

function clip(region, boxes, { width, height }, image) {
  const out = new Uint8Array(region.length);
  const [sx, sy] = [image.width / width, image.height / height];
  for (const [ax, ay, bx, by] of boxes) {
    const [x0, x1, y0, y1] = [Math.min(ax, bx), Math.max(ax, bx), Math.min(ay, by), Math.max(ay, by)];
    for (let y = 0; y < height; y++) {
      if ((y + 0.5) * sy < y0 || (y + 0.5) * sy >= y1) continue;
      for (let x = 0; x < width; x++) {
        if ((x + 0.5) * sx >= x0 && (x + 0.5) * sx < x1) out[y * width + x] = region[y * width + x];
      }
    }
  }
  return out;
}

// The pixels that points and lines lie in.
function touched(marks, { width, height }, image) {
  return [...marks.points, ...marks.lines.flat()].map(([x, y]) => {
    const column = Math.min(width - 1, Math.floor((x * width) / image.width));
    return Math.min(height - 1, Math.floor((y * height) / image.height)) * width + column;
  });
}

// Pieces (8 neighbours) that one of `seeds` lies in; without any the largest if asked for, else all. Pieces are made of
// runs, pixels of a row that hang together: there are few, and sliders move while this is done.
function pieces(region, seeds, largest, { width, height }) {
  const runs = runsOf(region, width, height);
  const areas = runs.map(() => 0);
  for (const run of runs) areas[rootOf(runs, run).number] += run.end - run.start;
  const hit = seeds.filter((i) => region[i]).map((i) => rootOf(runs, runs.find(({ start, end }) => start <= i && i < end)));
  const keep = new Set(hit.map((run) => run.number));
  if (!keep.size && largest && runs.length) keep.add(areas.indexOf(areas.reduce((most, area) => Math.max(most, area), 0)));
  if (!keep.size) return region;
  const out = new Uint8Array(region.length);
  for (const run of runs) if (keep.has(rootOf(runs, run).number)) out.fill(1, run.start, run.end);
  return out;
}

// Runs {start, end, number, above}: `above` is the number of an earlier run of the same piece, or its own.
function runsOf(region, width, height) {
  const runs = [];
  let before = 0; // where the runs of the row above begin
  for (let row = 0; row < height * width; row += width) {
    const first = runs.length;
    for (let i = row, at = before; i < row + width; i++) {
      if (!region[i]) continue;
      const run = { start: i, end: i, number: runs.length, above: runs.length };
      while (i < row + width && region[i]) i++;
      run.end = i;
      runs.push(run);
      while (at < first && runs[at].end < run.start - width) at++;
      for (let k = at; k < first && runs[k].start <= run.end - width; k++) join(runs, run, runs[k]);
    }
    before = first;
  }
  return runs;
}

function rootOf(runs, run) {
  let root = run;
  while (root.above !== root.number) root = runs[root.above];
  run.above = root.number;
  return root;
}

function join(runs, a, b) {
  const [one, other] = [rootOf(runs, a), rootOf(runs, b)];
  if (one.number < other.number) other.above = one.number;
  else one.above = other.number;
}

// Background that no path of 4 neighbours connects to the edge becomes part of the region.
function filled(region, picture) {
  const { width, height } = picture;
  const outside = new Int32Array(region.length);
  const from = (i) => !region[i] && !outside[i] && flood(outside, i, (j) => !region[j], picture);
  for (let x = 0; x < width; x++) [x, (height - 1) * width + x].forEach(from);
  for (let y = 0; y < height; y++) [y * width, (y + 1) * width - 1].forEach(from);
  return Uint8Array.from(outside, (label) => (label ? 0 : 1));
}

// Mark with 1 what 4 neighbours connect to a pixel.
function flood(marked, start, isIn, { width, height }) {
  const stack = [start];
  marked[start] = 1;
  const look = (next) => {
    if (marked[next] || !isIn(next)) return;
    marked[next] = 1;
    stack.push(next);
  };
  while (stack.length) {
    const at = stack.pop();
    const x = at % width;
    if (x > 0) look(at - 1);
    if (x < width - 1) look(at + 1);
    if (at >= width) look(at - width);
    if (at < width * (height - 1)) look(at + width);
  }
}

// The majority over a square window; outside of the picture there is nothing to count.
function smoothed(region, { width, height }) {
  const reach = Math.max(1, Math.round(Math.min(width, height) / SMOOTHING));
  const sums = new Int32Array((width + 1) * (height + 1)); // of all above and to the left
  for (let y = 0; y < height; y++) {
    let row = 0;
    for (let x = 0; x < width; x++) {
      row += region[y * width + x];
      sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + row;
    }
  }
  const out = new Uint8Array(region.length);
  for (let y = 0; y < height; y++) {
    const [top, bottom] = [Math.max(0, y - reach) * (width + 1), Math.min(height, y + reach + 1) * (width + 1)];
    const rows = (bottom - top) / (width + 1);
    for (let x = 0; x < width; x++) {
      const [left, right] = [Math.max(0, x - reach), Math.min(width, x + reach + 1)];
      const count = sums[bottom + right] - sums[bottom + left] - sums[top + right] + sums[top + left];
      out[y * width + x] = 2 * count > rows * (right - left) ? 1 : 0;
    }
  }
  return out;
}
