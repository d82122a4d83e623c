// Light, dark or as the system has it: known before the first paint, and chosen at the foot of every page.
// In a cookie, which outlives the logout: that empties the browser's storage.
const root = document.documentElement;

function kept() {
  return document.cookie.match(/(?:^|; )theme=(light|dark)(?:;|$)/)?.[1];
}

function show(theme) {
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
}

function keep(theme) {
  const lifetime = theme ? 365 * 86400 : 0;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `theme=${theme}; path=/; max-age=${lifetime}; samesite=lax${secure}`;
}

show(kept());

addEventListener("DOMContentLoaded", () => {
  const choice = document.getElementById("theme");
  if (!choice) return;
  choice.value = root.dataset.theme ?? "";
  choice.closest("label").hidden = false;
  choice.addEventListener("change", () => {
    show(choice.value);
    keep(choice.value);
  });
});
