// Plays the iterations: shows 0, 1, 2, ... without changing the object's setting.

const PACE = 160; // ms per iteration
const HOLD = 6; // steps for which the last iteration stays

export class Player {
  constructor(app) {
    this.app = app;
    this.step = null;
    this.timer = null;
  }

  toggle() {
    if (this.step !== null) return this.stop();
    if (!this.app.document.visible.length)
      return this.app.messages.hint("There is nothing to play yet: mark an object first.");
    let tick = 0;
    const last = this.app.limits.max_iterations;
    const next = () => {
      if (tick > last + HOLD) return this.stop();
      this.step = Math.min(tick++, last);
      this.app.draw();
      this.timer = setTimeout(next, PACE);
    };
    next();
  }

  stop() {
    clearTimeout(this.timer);
    if (this.step === null) return;
    this.step = null;
    this.app.draw();
  }
}
