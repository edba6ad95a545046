// The browser's half of the method: grid maps -> scores at view size -> labels. It does what iseg.masks does on the
// server (min-max on the grid, bilinear with align_corners=False, threshold, argmax), so that shown = exported.

export function decodeFloats(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

// uint16 numbers in base64.
export function decodeNumbers(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Uint16Array(bytes.buffer);
}

// Min-max to [0, 1]; a constant map becomes zero.
export function unit(map) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of map) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const extent = Math.fround(high - low);
  const out = new Float32Array(map.length);
  if (extent > 0) for (let i = 0; i < map.length; i++) out[i] = Math.fround(map[i] - low) / extent;
  return out;
}

// For each of `count` output positions: the lower source index and the weight of the next one, in float32 as torch does.
function taps(side, count) {
  const scale = Math.fround(side / count);
  const lower = new Int32Array(count);
  const weight = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const source = Math.max(0, Math.fround(Math.fround(scale * Math.fround(i + 0.5)) - 0.5));
    lower[i] = Math.min(Math.floor(source), side - 1);
    weight[i] = Math.fround(source - lower[i]);
  }
  return { lower, weight };
}

// (rows x columns) map -> (height x width), bilinear; of it, the part `box` (x0, y0, x1, y1) goes to `out`.
export function upsample(map, columns, rows, width, height, out, box = [0, 0, width, height]) {
  const across = taps(columns, width);
  const down = taps(rows, height);
  const row = new Float64Array(columns + 1);
  const step = new Float64Array(columns);
  const { lower, weight } = across;
  const [x0, y0, x1, y1] = box;
  for (let y = y0; y < y1; y++) {
    const top = down.lower[y] * columns;
    const bottom = Math.min(down.lower[y] + 1, rows - 1) * columns;
    const v = down.weight[y];
    for (let j = 0; j < columns; j++) row[j] = map[top + j] * (1 - v) + map[bottom + j] * v;
    row[columns] = row[columns - 1];
    for (let j = 0; j < columns; j++) step[j] = row[j + 1] - row[j];
    const start = (y - y0) * (x1 - x0) - x0;
    for (let x = x0; x < x1; x++) {
      const j = lower[x];
      out[start + x] = row[j] + step[j] * weight[x];
    }
  }
  return out;
}

// Claims {scores, threshold} of K objects, made one at a time -> labels: k + 1 where object k has the highest score of
// those at or above their own threshold (the first of equals), 0 elsewhere.
export function decide(claims, labels, best) {
  labels.fill(0);
  best.fill(0);
  let label = 0;
  for (const { scores, threshold } of claims) {
    label++;
    const limit = Math.fround(threshold);
    for (let i = 0; i < labels.length; i++) {
      if (scores[i] >= limit && scores[i] > best[i]) {
        best[i] = scores[i];
        labels[i] = label;
      }
    }
  }
  return labels;
}

// The entropy slider is logarithmic: position 0 is 0, positions 1..100 are 0.001..1.
export function entropyAt(position) {
  return position === 0 ? 0 : Number((10 ** (((position - 1) * 3) / 99 - 3)).toPrecision(3));
}

export function entropyPosition(entropy) {
  return entropy <= 0 ? 0 : Math.min(100, Math.max(1, Math.round(1 + ((Math.log10(entropy) + 3) * 99) / 3)));
}
