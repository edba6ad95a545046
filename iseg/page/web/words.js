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
    const chip = document.createElement("button");
    Object.assign(chip, { type: "button", className: "chip", textContent: word });
    chip.addEventListener("click", () => {
      const parts = phrasesOf(input.value);
      if (!parts.includes(word)) parts.push(word);
      input.value = parts.join("; ");
      input.focus();
    });
    return chip;
  }

  // The phrases that are typed, or null after a hint of what is missing.
  ready(text) {
    const phrases = phrasesOf(text);
    const missing =
      this.app.progress.model.state !== "ready"
        ? "The model is still being loaded."
        : phrases.length
          ? ""
          : "Type what to find, for example: dog; sofa";
    if (missing) this.app.messages.hint(missing);
    return missing ? null : phrases;
  }

  async find(text) {
    const { image } = this.app;
    if (!image) return this.app.messages.hint("Open an image first.");
    const phrases = this.ready(text);
    if (!phrases) return undefined;
    this.app.progress.setBusy(`Looking for ${phrases.join(", ")}…`);
    try {
      const { entropy, enhancement, iterations, threshold } = this.app.document.now.defaults;
      const settings = { entropy, enhancement, iterations, threshold };
      const answer = await this.app.solver.find(phrases, settings, image);
      if (image === this.app.image) this.#add(answer);
    } catch (error) {
      if (error.code !== "superseded") this.app.messages.error(error.message);
    }
    if (image === this.app.image) this.app.progress.setBusy("");
    return undefined;
  }

  #add({ phrases, found }) {
    const problem = this.app.document.addWords(phrases, found);
    if (problem) return this.app.messages.error(problem);
    const absent = phrases.filter((_, k) => found && !found[k]);
    if (absent.length)
      this.app.messages.hint(`Not found in this image: ${absent.join(", ")}. Listed, but hidden and not saved.`);
    return undefined;
  }
}

function phrasesOf(text) {
  const parts = text.split(";").map((part) => part.trim());
  return parts.filter((part, k) => part && parts.indexOf(part) === k);
}
