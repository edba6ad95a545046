// Maps whose edges follow the picture's, and a threshold from a map's own values, as iseg.upsample.separable_bilateral
// and iseg.absorb do on the server. The picture is the small one that the server decides on.

import { unit, upsample } from "./maths.js";

const PER_SIGMA = 2; // neighbours that are looked at per spatial sigma
const REACH = 3; // sigmas
const ROUNDS = 2;
const BINS = 256;

export class Edges {
  // What the server tells of an image: {guide, width, height, cells, range, lower, border}.
  constructor(told) {
    Object.assign(this, told);
    this.colours = Uint8Array.from(atob(told.guide), (letter) => letter.charCodeAt(0)); // (3, height, width)
    this.pulls = new Map(); // side of the grid -> how neighbours count, along rows and along columns
  }

  // A map (side x side) in [0, 1] -> scores (height x width) in [0, 1].
  smooth(map, side) {
    const { width, height } = this;
    if (!this.pulls.has(side)) this.pulls.set(side, [this.#pull(1, width, side), this.#pull(width, height, side)]);
    let large = upsample(map, side, side, width, height, new Float32Array(width * height));
    for (let round = 0; round < ROUNDS; round++) {
      for (const pull of this.pulls.get(side)) large = this.#mean(large, pull);
    }
    return unit(large);
  }

  // How neighbours count in a direction: `step` from pixel to pixel, `length` pixels of a line.
  #pull(step, length, side) {
    const sigma = (length * this.cells) / side;
    const stride = Math.max(1, Math.floor(sigma / PER_SIGMA));
    const area = this.width * this.height;
    const weight = new Float32Array(area).fill(1); // a pixel's own
    const near = [];
    for (let away = stride; away <= Math.min(length - 1, Math.floor(REACH * sigma)); away += stride) {
      const pull = new Float32Array(area); // of each pixel and the one that is so far on; 0 where there is none
      const far = (away / sigma) ** 2 / 2;
      this.#pairs(step, length, away, (i, j) => {
        pull[i] = Math.exp(-this.#difference(i, j) - far);
        weight[i] += pull[i];
        weight[j] += pull[i];
      });
      near.push({ away, pull });
    }
    return { step, near, weight };
  }

  #difference(i, j) {
    const area = this.width * this.height;
    let sum = 0;
    for (let at = 0; at < 3 * area; at += area) sum += (this.colours[at + i] - this.colours[at + j]) ** 2;
    return sum / (2 * (255 * this.range) ** 2);
  }

  // Calls `take` for each pixel and the one `away` pixels on in its line.
  #pairs(step, length, away, take) {
    const { width, height } = this;
    const [columns, rows] = step === 1 ? [width - away, height] : [width, height - away];
    for (let y = 0; y < rows; y++) {
      for (let x = 0, i = y * width; x < columns; x++, i++) take(i, i + away * step);
    }
  }

  // `pull` is 0 where a line ends, so that all pixels can be gone through in one loop, which sliders wait for.
  #mean(values, { step, near, weight }) {
    const total = Float32Array.from(values);
    for (const { away, pull } of near) {
      const jump = away * step;
      for (let i = 0, j = jump; j < total.length; i++, j++) {
        total[i] += values[j] * pull[i];
        total[j] += values[i] * pull[i];
      }
    }
    for (let i = 0; i < total.length; i++) total[i] /= weight[i];
    return total;
  }

  // Scores -> the same with `border` at a threshold that fits their values.
  automatic(scores) {
    const { lower, border } = this;
    const [least, most] = scores.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    const threshold = lower * otsu(scores, least, most);
    if (!(most > least) || !(threshold > 0 && threshold < most)) return scores.map((value) => (value > 0 ? 1 : 0));
    const above = (value) => border + ((1 - border) * (value - threshold)) / (most - threshold);
    return scores.map((value) => Math.min(1, Math.max(0, value >= threshold ? above(value) : (border * value) / threshold)));
  }
}

// Otsu's threshold: the one that splits values into the two classes furthest apart; the middle one of equals.
export function otsu(values, low, high) {
  if (!(high > low)) return low;
  const counts = new Float64Array(BINS);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor(((value - low) / (high - low)) * BINS))]++;
  const centre = (k) => low + ((k + 0.5) * (high - low)) / BINS;
  const sum = counts.reduce((total, count, k) => total + count * centre(k), 0);
  const between = [];
  for (let k = 0, below = 0, part = 0; k < BINS - 1; k++) {
    below += counts[k];
    part += counts[k] * centre(k);
    const above = values.length - below;
    const apart = part / Math.max(1, below) - (sum - part) / Math.max(1, above);
    between.push(below * above * apart * apart);
  }
  const least = Math.max(...between) * (1 - 1e-9);
  const first = between.findIndex((value) => value >= least);
  const last = between.findLastIndex((value) => value >= least);
  return low + ((1 + (first + last) / 2) * (high - low)) / BINS;
}
