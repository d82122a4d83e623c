// Back from a training that was started leads to its form: the form's address then says what stood in it,
// and the server fills it in. Nothing is kept in the browser.
const form = document.querySelector("form.training-form");

form?.addEventListener("submit", () => {
  const asked = new URLSearchParams(new FormData(form));
  asked.delete("csrf_token");
  asked.delete("form_id");
  history.replaceState(null, "", `/training/new?${asked}`);
});
