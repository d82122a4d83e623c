// Light, dark or as the system has it: said before the first paint, and chosen at the foot of every page.
const root = document.documentElement;

function kept() {
  try {
    return localStorage.getItem("theme");
  } catch {
    // A browser may keep nothing at all.
    return null;
  }
}

function show(theme) {
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  else delete root.dataset.theme;
}

show(kept());

addEventListener("DOMContentLoaded", () => {
  const choice = document.getElementById("theme");
  if (!choice) return;
  choice.value = root.dataset.theme ?? "";
  choice.closest("label").hidden = false;
  choice.addEventListener("change", () => {
    show(choice.value);
    try {
      localStorage.setItem("theme", choice.value);
    } catch {
      // It holds for this page.
    }
  });
});

// Another tab of this browser has chosen.
addEventListener("storage", ({ key, newValue }) => {
  if (key === "theme") show(newValue);
});
