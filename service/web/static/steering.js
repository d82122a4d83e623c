// Steers the viewer by the keys that people try. NiiVue's own letters obey only under the mouse, two of them
// are the browser's (Ctrl+U, Ctrl+D) and one opens a dialog: none of them reaches it.
const RENDER = 4;
const TURN_DEGREES = 5;
// To the right, to the front, up: in voxels of the image below.
const MOVES = {
  ArrowLeft: [-1, 0, 0],
  ArrowRight: [1, 0, 0],
  ArrowUp: [0, 1, 0],
  ArrowDown: [0, -1, 0],
  PageUp: [0, 0, 1],
  PageDown: [0, 0, -1],
};
const TURNS = {
  ArrowLeft: [-TURN_DEGREES, 0],
  ArrowRight: [TURN_DEGREES, 0],
  ArrowUp: [0, TURN_DEGREES],
  ArrowDown: [0, -TURN_DEGREES],
};

function obey(viewer, key) {
  const turn = TURNS[key];
  const move = MOVES[key];
  if (viewer.opts.sliceType === RENDER && turn) {
    viewer.setRenderAzimuthElevation(viewer.scene.renderAzimuth + turn[0], viewer.scene.renderElevation + turn[1]);
  } else if (viewer.opts.sliceType !== RENDER && move) {
    viewer.moveCrosshairInVox(...move);
  } else {
    return false;
  }
  return true;
}

// To be called before NiiVue listens.
export function steer(canvas, viewer) {
  canvas.addEventListener("keydown", (event) => {
    event.stopImmediatePropagation();
    if (event.ctrlKey || event.altKey || event.metaKey || !viewer.volumes.length) return;
    // Or the page would scroll away from what moves.
    if (obey(viewer, event.key)) event.preventDefault();
  }, { capture: true });
  canvas.addEventListener("keyup", (event) => event.stopImmediatePropagation(), { capture: true });
  // NiiVue keeps a press of the mouse to itself, which would give the focus.
  canvas.addEventListener("pointerdown", () => canvas.focus({ preventScroll: true }));
}
