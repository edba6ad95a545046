// What the page listens to: its buttons, the keyboard, the pointer.

import * as keys from "./keys.js";
import * as pointer from "./pointer.js";

export function listen(app) {
  const { page, peek } = app.refs;
  page.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do], [data-tool]");
    if (button?.dataset.tool) app.setTool(button.dataset.tool);
    else if (button) app.act(button.dataset.do);
  });
  app.refs["brush-size"].addEventListener("input", (event) => app.setBrush(1.06 ** Number(event.target.value)));
  peek.addEventListener("pointerdown", () => app.peek(true));
  for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"])
    peek.addEventListener(name, () => app.peek(false));
  peek.addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && app.peek(true));
  peek.addEventListener("keyup", () => app.peek(false));
  pointer.listen(app);
  keys.listen(app);
  const sheet = keys.SHEET.flatMap(([key, text]) => {
    const [term, detail] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, detail.textContent] = [key, text];
    return [term, detail];
  });
  app.refs["key-list"].replaceChildren(...sheet);
}
