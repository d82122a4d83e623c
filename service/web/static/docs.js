// Starts the reader of the OpenAPI document in the theme of the pages; nothing is asked of another server.
const { theme } = document.documentElement.dataset;
const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.classList.toggle("dark-mode", dark);

window.SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#reader",
  deepLinking: true,
  validatorUrl: null,
  tryItOutEnabled: false,
});
