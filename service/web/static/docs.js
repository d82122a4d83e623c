// Starts the reader of the OpenAPI document; nothing is asked of another server.
window.SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#reader",
  deepLinking: true,
  validatorUrl: null,
  tryItOutEnabled: false,
});
