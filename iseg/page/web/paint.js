// Scores and labels -> pixels. Overlays are those of iseg.visualize: blended colours and a light outline.

export function rgb(colour) {
  return [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
}

const pack = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

// Scores in [0, 1] as heat: `table` holds 256 packed colours.
export function paintHeat(scores, table, out) {
  for (let i = 0; i < scores.length; i++) out[i] = table[Math.round(scores[i] * 255)];
}

export function heatTable(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return Uint32Array.from({ length: 256 }, (_, i) => pack(bytes[3 * i], bytes[3 * i + 1], bytes[3 * i + 2]));
}

export function paintMask(labels, colours, out) {
  const table = Uint32Array.from([pack(0, 0, 0), ...colours.map((colour) => pack(...rgb(colour)))]);
  for (let i = 0; i < labels.length; i++) out[i] = table[labels[i]];
}

// `image` and `out` are packed pixels; background pixels stay as they are.
export function paintOverlay(image, labels, width, height, colours, opacity, out) {
  const blends = colours.map((colour) => rgb(colour).map((value) => blend(value, opacity)));
  out.set(image);
  let [r, g, b] = blends[0] ?? [];
  let last = 1; // neighbours mostly share their label: its tables are looked up only when it changes
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if (label === 0) continue;
    if (label !== last) [r, g, b] = blends[(last = label) - 1];
    const pixel = image[i];
    out[i] = (255 << 24) | (b[(pixel >> 16) & 255] << 16) | (g[(pixel >> 8) & 255] << 8) | r[pixel & 255];
  }
  const light = lightOf(colours);
  outline(labels, width, height, (i) => {
    if (labels[i]) out[i] = light[labels[i] - 1];
  });
}

// The objects' colours alone, as transparent as `opacity` says; packed pixels of 0 elsewhere.
export function paintLayer(labels, width, height, colours, opacity, out) {
  const alpha = Math.round(255 * opacity);
  const table = Uint32Array.from([0, ...colours.map((colour) => (pack(...rgb(colour)) & 0xffffff) | (alpha << 24))]);
  for (let i = 0; i < labels.length; i++) out[i] = table[labels[i]];
  const light = lightOf(colours);
  outline(labels, width, height, (i) => {
    if (labels[i]) out[i] = light[labels[i] - 1];
  });
}

const lightOf = (colours) =>
  colours.map((colour) => pack(...rgb(colour).map((value) => Math.floor(0.25 * value + 0.75 * 255))));

function blend(value, opacity) {
  return Uint8Array.from({ length: 256 }, (_, below) => Math.round((1 - opacity) * below + opacity * value));
}

// Calls `mark` for the pixels whose square neighbourhood holds two different labels. Only changes between neighbours
// are looked at: they are few, so this costs far less than filtering the picture.
function outline(labels, width, height, mark) {
  const reach = Math.max(1, Math.round(Math.min(width, height) / 200));
  const fill = (x0, x1, y0, y1) => {
    for (let y = Math.max(0, y0); y <= Math.min(height - 1, y1); y++) {
      for (let x = Math.max(0, x0); x <= Math.min(width - 1, x1); x++) mark(y * width + x);
    }
  };
  for (let y = 0; y < height; y++) {
    const row = y * width;
    const below = y + 1 < height ? row + width : row;
    let label = labels[row];
    for (let x = 0; x < width; x++) {
      const next = x + 1 < width ? labels[row + x + 1] : label;
      if (next !== label) fill(x + 1 - reach, x + reach, y - reach, y + reach);
      if (labels[below + x] !== label) fill(x - reach, x + reach, y + 1 - reach, y + reach);
      label = next;
    }
  }
}
