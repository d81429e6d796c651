// Names handles and clouds for screen readers, announces the status, and says when the page has drawn what it was asked to.

// Gives every handle of a slider, and every cloud, the name that screen readers say; only a cloud's own canvas has one.
function nameAll(root, cloudNames) {
  for (const slider of root.querySelectorAll(".widget-slider")) {
    const label = slider.querySelector(".widget-label")?.textContent ?? "";
    const handles = slider.querySelectorAll(".noUi-handle");
    handles.forEach((handle, number) => {
      const which = handles.length === 2 ? (number === 0 ? ", lowest" : ", highest") : "";
      handle.setAttribute("aria-label", label + which);
    });
  }
  root.querySelectorAll(".astrolab-cloud").forEach((cloud, number) => {
    const [main, ...others] = cloud.querySelectorAll("canvas");
    main?.setAttribute("role", "img");
    main?.setAttribute("aria-label", cloudNames[number] ?? "Cloud of objects");
    others.forEach(canvas => canvas.setAttribute("aria-hidden", "true"));
  });
  for (const status of root.querySelectorAll(".astrolab-status")) {
    status.setAttribute("role", "status"); // the place stays, and only its text changes: such changes are announced
    status.setAttribute("aria-live", "polite");
    status.setAttribute("aria-atomic", "true");
  }
}

// Sorts the table, lights the point of a row or picture with the focus, makes pictures large, clears and undoes.
function listen(root, model, signal) {
  let wanted = null; // what has the focus again when its table was replaced
  const darken = () => root.querySelectorAll(".astrolab-cloud [role=img]").forEach(one => one.dispatchEvent(new Event("mouseleave")));
  const on = (where, name, act) => where.addEventListener(name, act, { capture: true, signal });
  on(root, "focusout", darken);
  on(root, "focusin", ({ target }) => {
    const row = target.closest("[data-row]");
    if (row) model.send({ light: Number(row.dataset.row) });
  });
  on(root, "click", ({ target }) => {
    const sort = target.closest("[data-sort]")?.dataset.sort;
    wanted = sort && `[data-sort="${CSS.escape(sort)}"]`;
    if (sort) model.send({ sort });
    target.closest("figure[data-row]")?.classList.toggle("large");
  });
  on(window, "keydown", event => {
    const row = event.target.closest("[data-row]");
    const press = name => () => root.querySelector(`.astrolab-${name}`).click();
    const keys = { Escape: press("clear"), z: (event.ctrlKey || event.metaKey) && press("undo") };
    if (row) {
      keys.ArrowDown = () => row.nextElementSibling?.focus();
      keys.ArrowUp = () => row.previousElementSibling?.focus();
      keys.Enter = () => (row.matches("figure") ? row.click() : darken() ?? model.send({ toggle: Number(row.dataset.row) }));
    }
    const isHere = (root.contains(event.target) || root.matches(":hover")) && !event.target.matches("input, select, .cm-content");
    if (!isHere || !keys[event.key]) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // or JupyterLab goes to another cell
    keys[event.key]();
  });
  return () => wanted && document.activeElement === document.body && root.querySelector(wanted)?.focus();
}

const FRAMES_TO_DRAW = 3; // one to begin with, one to draw in, one to be on the safe side

function afterFrames(n, act) {
  requestAnimationFrame(n > 1 ? () => afterFrames(n - 1, act) : act);
}

function render({ model, el }) {
  el.style.display = "none";
  let observer = null;
  let rename = null;
  let resizing = null;
  const until = new AbortController();
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
    rename = () => nameAll(root, model.get("cloud_names"));
    rename();
    model.on("change:cloud_names", rename);
    const refocus = listen(root, model, until.signal);
    observer = new MutationObserver(() => {
      rename();
      refocus();
    });
    observer.observe(root, { childList: true, subtree: true });
    const seen = root.closest(".jp-WindowedPanel-outer") ?? document.documentElement;
    resizing = new ResizeObserver(() => {
      const room = [root.clientWidth, seen.clientHeight].map(px => 20 * Math.floor(px / 20)); // a scroll bar is no news
      if (room[0] > 0 && String(room) !== String(model.get("room"))) {
        model.set("room", room);
        model.save_changes();
      }
    });
    resizing.observe(root);
    resizing.observe(seen);
  };
  start();
  return () => {
    observer?.disconnect();
    resizing?.disconnect();
    until.abort();
    model.off("change:cloud_names", rename);
    model.off("change:asked", report);
  };
}

export default { render };
