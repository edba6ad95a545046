// The keyboard's cross-hair on the image.

import { add, clamp } from "./marking.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function moveCursor(app, event) {
  const { image, stage } = app;
  if (!image || app.isGalleryOpen) return;
  if (!ARROWS[event.key] && event.key !== "Enter") return;
  stage.cursor ??= [image.width / 2, image.height / 2];
  const step = (Math.max(image.width, image.height) / 128) * (event.shiftKey ? 4 : 1);
  if (ARROWS[event.key]) {
    const [dx, dy] = ARROWS[event.key];
    stage.cursor = clamp(app, [stage.cursor[0] + dx * step, stage.cursor[1] + dy * step]);
  } else {
    add(app, event.altKey || app.isSubtracting ? "negative" : "points", [...stage.cursor]);
  }
  event.preventDefault();
  app.draw();
}
