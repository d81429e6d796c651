// Names handles and clouds for screen readers, and says when the page has drawn what it was told to.

// Gives every handle of a slider, and every cloud, the name that screen readers say.
function nameAll(root) {
  for (const slider of root.querySelectorAll(".widget-slider")) {
    const label = slider.querySelector(".widget-label")?.textContent ?? "";
    const handles = slider.querySelectorAll(".noUi-handle");
    handles.forEach((handle, number) => {
      const which = handles.length === 2 ? (number === 0 ? ", lowest" : ", highest") : "";
      handle.setAttribute("aria-label", label + which);
    });
  }
  for (const canvas of root.querySelectorAll(".astrolab-cloud canvas")) {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "Cloud of galaxies: predicted against true. The table lists those selected.");
  }
}

const FRAMES_TO_DRAW = 3; // one to begin with, one to draw in, one to be on the safe side

function afterFrames(n, act) {
  requestAnimationFrame(n > 1 ? () => afterFrames(n - 1, act) : act);
}

function render({ model, el }) {
  el.style.display = "none";
  let observer = null;
  const report = () =>
    afterFrames(FRAMES_TO_DRAW, () => {
      model.set("drawn", model.get("asked"));
      model.save_changes();
    });
  model.on("change:asked", report);
  report();
  const start = () => {
    const root = el.closest(".astrolab-explorer");
    if (root === null) {
      requestAnimationFrame(start); // not on the page yet
      return;
    }
    nameAll(root);
    observer = new MutationObserver(() => nameAll(root));
    observer.observe(root, { childList: true, subtree: true });
  };
  start();
  return () => {
    observer?.disconnect();
    model.off("change:asked", report);
  };
}

export default { render };
