// Light or dark: as the system says until the person chooses; the choice is kept.

const KEY = "iseg-theme";

export class Theme {
  constructor() {
    const kept = read();
    if (kept) document.body.classList.toggle("dark", kept === "dark");
  }

  toggle() {
    const isDark = document.body.classList.toggle("dark");
    try {
      localStorage.setItem(KEY, isDark ? "dark" : "light");
    } catch {
      // no storage is allowed: the choice holds until the page is left
    }
  }
}

function read() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
