// What the page says: errors and hints that go away, and the state of the work.

const STAYS = { error: 12_000, hint: 5_000, done: 4_000 };

export class Messages {
  constructor(refs) {
    this.refs = refs;
  }

  error(text) {
    this.#toast(text, "error");
  }

  hint(text) {
    this.#toast(text, "hint");
  }

  done(text) {
    this.#toast(text, "done");
  }

  #toast(text, kind) {
    const same = [...this.refs.toasts.children].find((toast) => toast.dataset.text === text);
    same?.remove();
    const toast = document.createElement("div");
    toast.className = `toast ${kind}`;
    toast.dataset.text = text;
    const message = document.createElement("span");
    message.textContent = text;
    const close = document.createElement("button");
    Object.assign(close, { type: "button", className: "plain icon", textContent: "✕" });
    close.setAttribute("aria-label", "Dismiss");
    close.addEventListener("click", () => toast.remove());
    toast.append(message, close);
    this.refs.toasts.append(toast);
    setTimeout(() => toast.remove(), STAYS[kind]);
  }

  // The line in the header, and the veil on the stage while the image is not ready.
  status(text, isBlocking) {
    if (this.refs.status.textContent !== text) this.refs.status.textContent = text;
    this.refs.working.hidden = !isBlocking;
    this.refs["working-text"].textContent = text;
  }
}
