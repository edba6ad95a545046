// The image at its own resolution where the view is closer than the picture that was sent at first.

import { layerOf } from "./masktile.js";

const PAUSE = 200; // ms for which the view must rest
const MOST = 2048; // pixels of a side

export class Tiles {
  constructor(app) {
    this.app = app;
    this.forget();
  }

  forget() {
    clearTimeout(this.timer);
    this.tile = null; // {box, picture}
    this.wanted = "";
    this.timer = null;
    clearTimeout(this.layerTimer);
    this.layer = null; // {key, canvas}
    this.layerWanted = "";
  }

  // The objects' colours over a tile; null while they are not drawn at its resolution yet.
  layerOf({ box }) {
    const { app } = this;
    const key = `${box} ${app.stage.pictures.signature("tile")}`;
    if (this.layer?.key === key) return this.layer.canvas;
    if (this.layerWanted !== key) {
      this.layerWanted = key;
      clearTimeout(this.layerTimer);
      this.layerTimer = setTimeout(() => {
        if (!app.image || this.tile?.box !== box) return;
        this.layer = { key, canvas: layerOf(app, box) };
        app.draw();
      }, PAUSE);
    }
    return null;
  }

  // The tile that covers what is seen, if it is there; if not and it would be sharper, it is asked for.
  now() {
    const { image, stage } = this.app;
    const ratio = window.devicePixelRatio || 1;
    if (image.viewWidth >= image.width || stage.view.scale * ratio * image.width < 1.2 * image.viewWidth) return null;
    const box = this.#seen();
    if (box[2] - box[0] > MOST || box[3] - box[1] > MOST || box[2] <= box[0] || box[3] <= box[1]) return this.tile;
    const key = box.join();
    if (key !== this.wanted) {
      this.wanted = key;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.#ask(box, key), PAUSE);
    }
    return this.tile;
  }

  // What is seen of the image, in whole pixels (x0, y0, x1, y1).
  #seen() {
    const { image, stage } = this.app;
    const [left, top] = stage.view.toImage(0, 0);
    const [right, bottom] = stage.view.toImage(stage.box.clientWidth, stage.box.clientHeight);
    return [
      Math.max(0, Math.floor(left)),
      Math.max(0, Math.floor(top)),
      Math.min(image.width, Math.ceil(right)),
      Math.min(image.height, Math.ceil(bottom)),
    ];
  }

  async #ask(box, key) {
    const { image } = this.app;
    try {
      const { picture: src } = await this.app.request("tile", { box }, image, () => key === this.wanted);
      const picture = Object.assign(new Image(), { src });
      await picture.decode();
      if (image !== this.app.image || key !== this.wanted) return;
      this.tile = { box, picture };
      this.app.draw();
    } catch {
      // the coarser picture stays
    }
  }
}
