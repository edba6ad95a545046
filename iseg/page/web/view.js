// Zoom and pan: where the image lies on the stage's canvas. `scale` is screen pixels per image pixel.

const MOST = 32;

export class View {
  constructor() {
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.fitted = true;
  }

  // Lay an image of (width, height) into a stage of (stageWidth, stageHeight).
  fit(width, height, stageWidth, stageHeight) {
    this.scale = Math.min((stageWidth - 16) / width, (stageHeight - 16) / height);
    this.least = this.scale / 2;
    this.fitScale = this.scale;
    this.x = (stageWidth - width * this.scale) / 2;
    this.y = (stageHeight - height * this.scale) / 2;
    this.fitted = true;
  }

  // Zoom by a factor about a point of the stage.
  zoom(factor, x, y) {
    const scale = Math.min(MOST * this.fitScale, Math.max(this.least, this.scale * factor));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
  }

  toImage(x, y) {
    return [(x - this.x) / this.scale, (y - this.y) / this.scale];
  }

  toStage(x, y) {
    return [x * this.scale + this.x, y * this.scale + this.y];
  }
}
