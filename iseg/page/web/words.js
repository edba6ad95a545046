// The words tool: phrases separated by semicolons become objects.

export class Words {
  constructor(app, refs) {
    this.app = app;
    this.chips = refs.chips;
    this.input = refs.words.querySelector("input");
    refs.words.addEventListener("submit", (event) => {
      event.preventDefault();
      this.find(this.input.value);
    });
  }

  // The words a model with a closed vocabulary knows, to click.
  offer(known) {
    this.chips.replaceChildren(...known.map((word) => this.#chip(word)));
    this.app.setTool(this.app.tool);
  }

  #chip(word) {
    const { input } = this;
    const chip = Object.assign(document.createElement("button"), {
      type: "button",
      className: "chip",
      textContent: word,
    });
    chip.addEventListener("click", () => {
      const parts = input.value
        .split(";")
        .map((part) => part.trim())
        .filter(Boolean);
      if (!parts.includes(word)) parts.push(word);
      input.value = parts.join("; ");
      input.focus();
    });
    return chip;
  }

  async find(text) {
    const phrases = text
      .split(";")
      .map((phrase) => phrase.trim())
      .filter(Boolean);
    if (!this.app.image) return this.app.messages.hint("Open an image first.");
    if (this.app.progress.model.state !== "ready") return this.app.messages.hint("The model is still being loaded.");
    if (!phrases.length) return this.app.messages.hint("Type what to find, for example: dog; sofa");
    this.app.progress.setBusy(`Looking for ${phrases.join(", ")}…`);
    try {
      const { entropy, enhancement, iterations, threshold } = this.app.document.now.defaults;
      const { image } = this.app;
      const found = await this.app.solver.find(phrases, { entropy, enhancement, iterations, threshold });
      if (image === this.app.image) this.app.document.addWords(found);
    } catch (error) {
      if (error.code !== "superseded") this.app.messages.error(error.message);
    }
    this.app.progress.setBusy("");
    return undefined;
  }
}
