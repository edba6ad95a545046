// "Get Stable Diffusion": what it would be, how far it is, a way to stop; and the model that is there then.

const MEGA = 1e6;

export class Weights {
  constructor(app, refs) {
    this.app = app;
    this.refs = refs;
    this.state = { running: false, text: "", error: "", done: 0, all: 0 };
    refs.weights.addEventListener("close", () => refs.weights.returnValue === "get" && this.#get());
  }

  // Say how large it is and under which licence, and ask.
  async offer() {
    const { refs } = this;
    refs.weights.returnValue = "";
    this.#tell("Asking the hub how large it is…", "", true);
    refs.weights.showModal();
    try {
      const { name, licence, source, done, all } = await this.app.server.ask("weights_offer");
      const size = done ? `${sizeOf(all)}, of which ${sizeOf(done)} are here already` : sizeOf(all);
      const text = `${name} from ${source}: ${size}. It knows photographs and any word.`;
      this.#tell(text, `Licence of the weights: ${licence}.`, false);
    } catch (error) {
      this.#tell(error.message, "", true);
    }
  }

  #tell(text, licence, isDisabled) {
    this.refs["weights-what"].textContent = text;
    this.refs["weights-licence"].textContent = licence;
    this.refs["weights-yes"].disabled = isDisabled;
  }

  async #get() {
    await this.#ask("weights_get");
    this.state = { ...this.state, running: true };
    this.draw();
    this.app.progress.watch();
  }

  stop() {
    return this.#ask("weights_stop");
  }

  async #ask(name) {
    try {
      await this.app.server.ask(name);
    } catch (error) {
      this.app.messages.error(error.message);
    }
  }

  // What the server says of it.
  follow(state) {
    if (!state) return;
    if (state.error && state.error !== this.state.error) this.app.messages.error(state.error);
    this.state = state;
    this.draw();
  }

  draw() {
    const { refs, state } = this;
    const { running, text, done, all } = state;
    refs["weights-get"].hidden = running || !this.app.progress.model.offer;
    refs["weights-get"].textContent = done && done < all ? "Go on getting Stable Diffusion…" : "Get Stable Diffusion…";
    refs["weights-stop"].hidden = refs["weights-bar"].hidden = refs["weights-text"].hidden = !running;
    if (!running) return;
    refs["weights-bar"].max = all || 1;
    refs["weights-bar"].value = done;
    refs["weights-text"].textContent = all ? `${text}: ${sizeOf(done)} of ${sizeOf(all)}` : `${text}…`;
  }
}

function sizeOf(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / MEGA).toFixed(1)} MB`;
}
