// Starts the reader of the OpenAPI document in the theme of the pages; nothing is asked of another server.
const system = matchMedia("(prefers-color-scheme: dark)");

function show() {
  const { theme } = document.documentElement.dataset;
  document.documentElement.classList.toggle("dark-mode", theme ? theme === "dark" : system.matches);
}

show();
system.addEventListener("change", show);

window.SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#reader",
  deepLinking: true,
  validatorUrl: null,
  tryItOutEnabled: false,
});
