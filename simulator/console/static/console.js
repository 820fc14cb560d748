"use strict";
(() => {
  const token = document.querySelector('meta[name="form-token"]').content;
  const byId = (id) => document.getElementById(id);
  const list = byId("list"), detail = byId("detail"), live = byId("live"), help = byId("help");

  document.documentElement.classList.add("js");
  document.addEventListener("htmx:configRequest", (event) => { event.detail.headers["X-Form-Token"] = token; });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status >= 400 && event.detail.xhr.status < 500) event.detail.shouldSwap = true;
    if (event.detail.target.id === "rooms") keepHands(event);
    if (pressed && renewals[event.detail.target.id]) {
      event.detail.shouldSwap = false;
      held.add(renewals[event.detail.target.id]);
    }
  });

  // What is renewed as things happen waits while somebody presses there: a button replaced before it is released gets no click.
  let pressed = false;
  const held = new Set();
  const renewals = { rooms: renew, progress: () => htmx.trigger("#progress", "refresh") };
  const press = (event) => { pressed = Boolean(event.target.closest("a, button, summary, label, input")); };
  addEventListener("pointerdown", (event) => { if (event.button === 0) press(event); });  // a menu swallows its release
  addEventListener("keydown", (event) => { if (event.key === " ") press(event); });
  for (const released of ["pointerup", "pointercancel", "dragend", "keyup", "blur"]) {
    addEventListener(released, () => {
      pressed = false;
      setTimeout(() => {  // the click comes first
        for (const again of held) again();
        held.clear();
      });
    });
  }

  // The list of rooms is renewed as things happen, but not under the hands of somebody who types or selects there.
  const roomList = byId("rooms");
  let missed = false, focused = null;
  function keepHands(event) {
    const active = roomList.contains(document.activeElement) ? document.activeElement : null;
    missed = Boolean(roomList.querySelector(":checked") || active?.value && active.matches("input:not([type=checkbox])"));
    if (missed) event.detail.shouldSwap = false;
    focused = missed ? null : active?.getAttribute("aria-label");
  }
  // A page of many members takes long to make: the next one waits for a multiple of that.
  let timer = 0, wait = 100;
  function renew() {
    timer ||= setTimeout(() => {
      const began = performance.now();
      roomList.addEventListener("htmx:afterRequest", () => { timer = 0; wait = Math.max(100, 4 * (performance.now() - began)); }, { once: true });
      htmx.trigger(roomList, "refresh");
    }, wait);
  }
  if (roomList) {
    roomList.addEventListener("htmx:afterSettle", () => {
      if (focused) roomList.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    });
    const again = () => { if (missed) renew(); };
    roomList.addEventListener("change", again);
    roomList.addEventListener("focusout", again);
    roomList.addEventListener("htmx:afterRequest", (event) => {
      if (event.target === roomList || !event.detail.successful) return;
      (event.target.form ?? event.target.closest("form"))?.reset();
      renew();
    });
    setInterval(() => { if (!document.hidden && document.querySelector(".ticks")) renew(); }, 1000);
  }

  // The windowed list: only the rows in view exist, those above and below are space.
  const view = { total: 0, asOf: 0, newest: 0, start: -1, paused: false, waiting: false, loading: false, again: false };

  const rowHeight = () => {
    const row = byId("window").querySelector(".row");
    return row ? row.offsetHeight : 32;
  };

  const reload = () => { load(true); };

  async function load(force) {
    if (pressed) { held.add(reload); return; }
    if (view.loading) { view.again = view.again || Boolean(force); return; }
    const height = rowHeight(), shown = Math.ceil(list.clientHeight / height);
    const start = Math.max(0, Math.floor(list.scrollTop / height) - shown);
    if (!force && Math.abs(start - view.start) < shown / 2 && view.start >= 0) return;
    view.loading = true;
    const query = new URLSearchParams(location.search);
    query.set("start", start); query.set("count", shown * 3); query.set("as_of", view.asOf);
    try {
      const answer = await fetch(`/console/callbacks/rows?${query}`, { headers: { "HX-Request": "true" } });
      if (!answer.ok) return;
      const rows = await answer.text();
      if (pressed) { held.add(reload); return; }
      const box = byId("window"), focused = document.activeElement?.dataset?.id;
      box.innerHTML = rows;  // made by the server, which escapes everything from outside
      view.start = start;
      view.total = Number(answer.headers.get("X-Total"));
      place();
      mark();
      if (focused) box.querySelector(`[data-id="${focused}"]`)?.focus({ preventScroll: true });
    } finally {
      view.loading = false;
      if (view.again) { view.again = false; load(true); }
    }
  }

  function place() {
    const height = rowHeight();
    byId("sizer").style.height = `${view.total * height}px`;
    byId("window").style.transform = `translateY(${Math.max(0, view.start) * height}px)`;
    byId("count").textContent = `${view.total.toLocaleString("en")} callback${view.total === 1 ? "" : "s"}`;
    list.querySelector(".empty")?.toggleAttribute("hidden", view.total > 0);
  }

  function arrived(newest) {
    view.newest = newest;
    if (!view.paused && list.scrollTop < 8) {
      view.asOf = newest;
      byId("new").hidden = true;
      load(true);
    } else {
      byId("new").hidden = newest <= view.asOf;
      byId("new").textContent = `${(newest - view.asOf).toLocaleString("en")} new`;
      if (!view.paused) load(true);  // outcomes of rows that are shown
    }
  }

  function toTop() {
    view.asOf = view.newest;
    byId("new").hidden = true;
    list.scrollTop = 0;
    load(true);
  }

  function pause() {
    view.paused = !view.paused;
    byId("pause").setAttribute("aria-pressed", String(view.paused));
    byId("pause").textContent = view.paused ? "Continue" : "Pause";
    if (!view.paused) toTop();
  }

  function mark() {
    const open = detail.querySelector(".callback")?.dataset.id;
    for (const row of list.querySelectorAll("a.row")) row.classList.toggle("current", row.dataset.id === open);
  }

  function open(row) {
    htmx.ajax("GET", row.getAttribute("href"), { target: "#detail", swap: "innerHTML" });
  }

  function close() {
    if (!detail?.firstChild) return false;
    detail.replaceChildren();
    mark();
    return true;
  }

  function step(by) {
    const rows = [...list.querySelectorAll("a.row")];
    const at = rows.findIndex((row) => row === document.activeElement || row.classList.contains("current"));
    const next = rows[at < 0 ? 0 : at + by];
    if (!next) return;
    next.focus({ preventScroll: true });
    const top = (Number(view.start) + rows.indexOf(next)) * rowHeight();
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + rowHeight() * 2 > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight + rowHeight() * 2;
    if (detail.firstChild) open(next);
  }

  if (list) {
    Object.assign(view, { total: Number(list.dataset.total), asOf: Number(list.dataset.newest), newest: Number(list.dataset.newest), start: 0 });
    place();
    list.addEventListener("scroll", () => load(false), { passive: true });
    addEventListener("resize", () => load(true));
    byId("pause").hidden = false;
    byId("pause").addEventListener("click", pause);
    byId("new").addEventListener("click", toTop);
    list.addEventListener("click", (event) => {
      const row = event.target.closest("a.row");
      if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open(row);
    });
    detail.addEventListener("click", (event) => {
      if (event.target.closest(".close")) { event.preventDefault(); close(); }
    });
    detail.addEventListener("htmx:afterSwap", mark);
    let typing = 0;
    const apply = () => {
      const query = new URLSearchParams([...new FormData(byId("filters"))].filter(([, value]) => value));
      history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
      list.scrollTop = 0;
      view.asOf = view.newest;
      load(true);
    };
    byId("filters").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(apply, 150); });
    byId("filters").addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  }

  // What has changed, at most four times a second.
  let rooms = -1;
  const events = new EventSource("/console/events");
  events.addEventListener("open", () => { live.textContent = "live"; live.classList.add("on"); });
  events.addEventListener("error", () => { live.textContent = "not connected"; live.classList.remove("on"); });
  events.addEventListener("changed", (event) => {
    const now = JSON.parse(event.data);
    if (list) arrived(now.newest);
    if (roomList && rooms !== now.rooms) renew();
    if (byId("progress")) renewals.progress();
    rooms = now.rooms;
  });

  document.addEventListener("click", async (event) => {
    if (event.target.closest(".dismiss")) byId("result").replaceChildren();
    const button = event.target.closest(".copy-text");
    if (!button) return;
    const text = document.querySelector(button.dataset.from).textContent, label = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy below";
      document.querySelector(button.dataset.from).closest("details").open = true;
    }
    setTimeout(() => { button.textContent = label; }, 1500);
  });

  byId("help-button").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !help.open) {
      if (event.target.matches("input, textarea, select")) event.target.blur();
      else if (close()) list.focus();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    const page = document.querySelectorAll(".bar nav a")[Number(event.key) - 1];
    if (event.key === "?") help.showModal();
    else if (event.key === "/") { event.preventDefault(); (byId("q") ?? document.querySelector("main input:not([type=hidden])"))?.focus(); }
    else if (page) page.click();
    else if (event.key === "r") byId("resend")?.click();
    else if (!list) return;
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "p") pause();
  });
})();
