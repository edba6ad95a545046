// The strip below the stage: the five pictures in small; a click shows one on the stage.

import { PANELS, Pictures } from "./pictures.js";

const LONGEST = 132;

export class Panels {
  constructor(app, strip) {
    this.app = app;
    this.buttons = PANELS.map(([name, title], index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.role = "radio";
      button.dataset.panel = name;
      button.title = `${title} (${index + 1})`;
      const canvas = document.createElement("canvas");
      canvas.setAttribute("aria-hidden", "true");
      const caption = document.createElement("span");
      caption.textContent = title;
      button.append(canvas, caption);
      button.addEventListener("click", () => app.setPanel(index));
      strip.append(button);
      return button;
    });
    this.pictures = this.buttons.map((button) => new Pictures(app, button.firstChild));
  }

  setImage(image) {
    const scale = Math.min(1, LONGEST / Math.max(image.width, image.height * 1.5));
    const size = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale)));
    this.pictures.forEach((pictures) => pictures.setImage(image.bitmap, ...size));
  }

  draw() {
    PANELS.forEach(([name], index) => {
      this.buttons[index].setAttribute("aria-checked", String(name === this.app.panel));
      if (!this.app.image) return;
      this.pictures[index].paint(name);
      if (name === "image") this.#dots(this.pictures[index]);
    });
  }

  #dots({ context, width }) {
    const scale = width / this.app.image.width;
    for (const { marks, colour, hidden } of this.app.document.now.objects) {
      if (hidden) continue;
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = 2;
      for (const [x, y] of marks.points) context.fillRect(x * scale - 2.5, y * scale - 2.5, 5, 5);
      context.beginPath();
      for (const line of marks.lines)
        line.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](x * scale, y * scale));
      for (const [x0, y0, x1, y1] of marks.boxes)
        context.rect(x0 * scale, y0 * scale, (x1 - x0) * scale, (y1 - y0) * scale);
      context.stroke();
      context.fillStyle = "#111418";
      for (const [x, y] of marks.negative) context.fillRect(x * scale - 2.5, y * scale - 2.5, 5, 5);
    }
  }
}
