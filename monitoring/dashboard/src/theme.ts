// Dark or light: what the system says, unless someone chose.
export type Theme = "light" | "dark" | null; // null: as the system

const dark = window.matchMedia("(prefers-color-scheme: dark)");

export function chosenTheme(): Theme {
  const kept = localStorage.getItem("theme");
  return kept === "light" || kept === "dark" ? kept : null;
}

function show(): void {
  document.documentElement.dataset.theme = chosenTheme() ?? (dark.matches ? "dark" : "light");
  window.dispatchEvent(new Event("themechange"));
}

// null only shows what is chosen already.
export function applyTheme(theme: Theme | "system"): void {
  if (theme === "system") localStorage.removeItem("theme");
  else if (theme !== null) localStorage.setItem("theme", theme);
  show();
}

dark.addEventListener("change", show);
