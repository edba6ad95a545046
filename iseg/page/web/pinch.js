// Two fingers on the stage: they move and zoom the view together.

export class Pinch {
  constructor(app, place) {
    this.app = app;
    this.place = place;
    this.fingers = new Map(); // pointer id -> where it is
    this.isActive = false;
  }

  // A finger comes down; returns whether there are two now.
  down(event) {
    if (event.pointerType !== "touch") return false;
    this.fingers.set(event.pointerId, this.place(event));
    this.isActive ||= this.fingers.size === 2;
    return this.isActive;
  }

  // Returns whether the move belonged to two fingers.
  move(event) {
    if (!this.fingers.has(event.pointerId)) return false;
    const before = this.#spread();
    this.fingers.set(event.pointerId, this.place(event));
    if (!this.isActive) return false;
    const after = this.#spread();
    if (before && after) {
      const { view } = this.app.stage;
      view.pan(after.x - before.x, after.y - before.y);
      view.zoom(after.distance / before.distance, after.x, after.y);
      this.app.draw();
    }
    return true;
  }

  // A finger goes up; returns whether it was one of two.
  up(event) {
    this.fingers.delete(event.pointerId);
    const was = this.isActive;
    if (!this.fingers.size) this.isActive = false;
    return was;
  }

  #spread() {
    if (this.fingers.size < 2) return null;
    const [[ax, ay], [bx, by]] = [...this.fingers.values()];
    return { x: (ax + bx) / 2, y: (ay + by) / 2, distance: Math.max(1, Math.hypot(ax - bx, ay - by)) };
  }
}
