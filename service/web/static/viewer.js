// Opens the map in NiiVue when somebody asks: the viewer weighs more than all the rest of the page.
import { steer } from "./steering.js";
import { say as word } from "./words.js";

const VIEWS = { axial: 0, coronal: 1, sagittal: 2, multiplanar: 3, render: 4 };
const GRID = 2;

let viewer = null;

function part(root, name) {
  return root.querySelector(`[data-${name}]`);
}

function knob(root, name) {
  return root.querySelector(`[data-knob="${name}"]`);
}

function complain(root, text) {
  const trouble = part(root, "trouble");
  trouble.textContent = text;
  trouble.hidden = false;
}

function chosenMap(root) {
  return knob(root, "map").selectedOptions[0];
}

function limits(root) {
  const strongest = Number(chosenMap(root).dataset.strongest) || 1;
  const least = (Number(knob(root, "threshold").value) / 100) * strongest;
  return { least: Math.max(least, strongest * 1e-6), strongest };
}

function applyMap(root) {
  const [positive, negative] = knob(root, "colours").value.split(" ");
  const { least, strongest } = limits(root);
  const map = viewer.volumes[1];
  // A new colour map brings limits of its own, so that ours come after it.
  Object.assign(map, { colormap: positive, colormapNegative: negative });
  Object.assign(map, { cal_min: least, cal_max: strongest, cal_minNeg: -strongest, cal_maxNeg: -least });
  viewer.setOpacity(1, Number(knob(root, "opacity").value) / 100);
  part(root, "threshold-said").textContent = `${knob(root, "threshold").value}\u202f%`;
}

async function load(root) {
  const [positive, negative] = knob(root, "colours").value.split(" ");
  const { least, strongest } = limits(root);
  const place = viewer.volumes.length ? viewer.frac2mm(viewer.scene.crosshairPos) : null;
  await viewer.loadVolumes([
    { url: knob(root, "background").value, colormap: "gray" },
    {
      url: chosenMap(root).value,
      colormap: positive,
      colormapNegative: negative,
      cal_min: least,
      cal_max: strongest,
      cal_minNeg: -strongest,
      cal_maxNeg: -least,
      opacity: Number(knob(root, "opacity").value) / 100,
    },
  ]);
  // The same share of another image is another place, and what is said is of the image before.
  if (place) goTo(place);
}

function say(root, { mm, values }) {
  const place = Array.from(mm).slice(0, 3).map((value) => Math.round(value)).join(", ");
  const share = values.length > 1 ? values[1].value : 0;
  const side = share > 0 ? "for_adhd" : share < 0 ? "against_adhd" : "no_share";
  const unit = chosenMap(root).dataset.unit ?? word("logits");
  part(root, "where").textContent = word(side, { place, share: `${share.toPrecision(2)} ${unit}`.trim() });
}

function goTo(mm) {
  viewer.scene.crosshairPos = viewer.mm2frac(mm);
  viewer.createOnLocationChange();
  viewer.drawScene();
}

function addWays(root) {
  for (const row of document.querySelectorAll(".places [data-mm]")) {
    const cell = row.querySelector(".mm");
    const way = Object.assign(document.createElement("button"), {
      type: "button",
      className: "go",
      textContent: cell.textContent,
      title: word("go_there"),
    });
    way.addEventListener("click", () => {
      goTo(row.dataset.mm.split(" ").map(Number));
      root.scrollIntoView({ block: "nearest" });
    });
    cell.replaceChildren(way);
  }
}

function listen(root) {
  for (const name of ["background", "map"]) {
    knob(root, name).addEventListener("change", () => guarded(root, () => load(root)));
  }
  for (const name of ["colours", "threshold", "opacity"]) {
    knob(root, name).addEventListener("input", () => applyMap(root));
  }
  knob(root, "view").addEventListener("change", (event) => viewer.setSliceType(VIEWS[event.target.value]));
  knob(root, "crosshair").addEventListener("change", (event) => {
    viewer.setCrosshairWidth(event.target.checked ? 1 : 0);
  });
}

async function guarded(root, act) {
  try {
    await act();
  } catch (error) {
    console.error(error);
    complain(root, word("not_loaded"));
  }
}

async function open(root) {
  const canvas = Object.assign(document.createElement("canvas"), { tabIndex: 0 });
  // It takes the arrow keys, which a reader of the screen would keep from a picture.
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", word("map"));
  canvas.setAttribute("aria-describedby", "viewer-keys");
  if (!document.createElement("canvas").getContext("webgl2")) {
    complain(root, word("no_webgl"));
    return;
  }
  part(root, "screen").replaceChildren(canvas);
  // The button that had it is gone.
  canvas.focus({ preventScroll: true });
  await guarded(root, async () => {
    const { Niivue } = await import("/static/vendor/niivue.js");
    viewer = new Niivue({
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.53, 0.79, 0.82, 1],
      crosshairWidth: 1,
      isColorbar: false,
      isRadiologicalConvention: false,
      dragAndDropEnabled: false,
      // Keys of its own that no control of ours would show.
      viewModeHotKey: "",
      clipPlaneHotKey: "",
      loadingText: "",
      multiplanarForceRender: true,
      multiplanarLayout: GRID,
      logLevel: "error",
    });
    viewer.onLocationChange = (location) => say(root, location);
    steer(canvas, viewer);
    await viewer.attachToCanvas(canvas);
    await load(root);
    viewer.setSliceType(VIEWS.multiplanar);
    const strongest = document.querySelector(".places [data-mm]");
    if (strongest) goTo(strongest.dataset.mm.split(" ").map(Number));
    listen(root);
    addWays(root);
    root.dataset.shown = "true";
  });
}

function offer() {
  const button = document.getElementById("open-viewer");
  if (!button || !button.hidden) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const root = document.getElementById("viewer");
    root.hidden = false;
    button.hidden = true;
    open(root);
  }, { once: true });
}

offer();
// The page is drawn anew in part when the answer or its map has come.
document.body.addEventListener("htmx:afterSettle", offer);
