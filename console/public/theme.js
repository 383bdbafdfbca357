// Before the first paint, so that no theme flashes: what was chosen, else what the system prefers.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    let chosen = null;
    try {
      chosen = localStorage.getItem("atelier.theme");
    } catch {
      // Storage is switched off: the system's theme holds.
    }
    const theme = chosen === "light" || chosen === "dark" ? chosen : dark.matches ? "dark" : "light";
    document.documentElement.dataset.theme = theme;
  };
  apply();
  dark.addEventListener("change", apply);
  addEventListener("atelier:theme", apply);
  addEventListener("storage", apply);
})();
