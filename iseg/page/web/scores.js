// The maps of an object -> its score in [0, 1], as the server makes it: stretched, along the picture's edges, with a
// threshold that fits the map, or as it was decided or cut on the server already.

import { unit, upsample } from "./maths.js";
import { mapAt } from "./solver.js";

const KEPT = 3; // scores of one object's maps

// The score after some iterations, at the size at which it is decided: {values, width, height}.
export function decidedAt(app, maps, object, iteration) {
  const { width, height, form, cut } = maps;
  if (cut && cut.at === iteration) return cutOf(cut, object);
  const map = mapAt(maps, object, iteration);
  if (form === "decided") return { values: map, width, height };
  const edges = form === "edges" ? app.image.edges : null;
  if (!edges && !maps.automatic) return { values: unit(map), width, height };
  maps.scores ??= new Map(); // where its map begins -> score
  const key = map.byteOffset;
  if (!maps.scores.has(key)) {
    if (maps.scores.size >= KEPT) maps.scores.delete(maps.scores.keys().next().value);
    const values = edges ? edges.smooth(unit(map), width) : unit(map);
    const size = edges ?? maps;
    maps.scores.set(key, {
      values: maps.automatic ? app.image.edges.automatic(values) : values,
      width: size.width,
      height: size.height,
    });
  }
  return maps.scores.get(key);
}

function cutOf({ values, count, width, height }, object) {
  const start = (count > 1 ? object.words.index : 0) * width * height;
  return { values: values.subarray(start, start + width * height), width, height };
}

// The score at (height x width), or the part `box` of it, into `out`.
export function scoreAt(app, maps, object, iteration, width, height, out, box) {
  const decided = decidedAt(app, maps, object, iteration);
  return upsample(decided.values, decided.width, decided.height, width, height, out, box);
}

// The map before refinement: {values, width, height}.
export function seedOf(maps, object) {
  if (!maps.seed) return { values: unit(mapAt(maps, object, 0)), width: maps.width, height: maps.height };
  const side = Math.round(Math.sqrt(maps.seed.length));
  return { values: unit(maps.seed), width: side, height: side };
}
