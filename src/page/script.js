"use strict";
// The page asks for itself again and takes over what has changed. Without this it works all the same.
(() => {
  const byId = (id) => document.getElementById(id);
  const form = byId("filter"), stale = byId("stale");
  const PATIENCE = 10000;
  let timer, asking, lastGood = byId("now").textContent, pauseBetween = 0;

  // What is the same stays untouched: focus, selection and scrolling with it.
  const become = (have, want) => {
    if (have.isEqualNode(want)) return;
    if (have.nodeType !== want.nodeType || have.nodeName !== want.nodeName) {
      have.replaceWith(document.importNode(want, true));
      return;
    }
    if (have.nodeType !== Node.ELEMENT_NODE) {
      have.data = want.data;
      return;
    }
    for (const { name } of [...have.attributes]) if (!want.hasAttribute(name)) have.removeAttribute(name);
    for (const { name, value } of want.attributes) if (have.getAttribute(name) !== value) have.setAttribute(name, value);
    const known = new Map([...have.children].filter((child) => child.id).map((child) => [child.id, child]));
    let at = have.firstChild;
    for (const child of [...want.childNodes]) {
      const twin = child.id ? known.get(child.id) : at && !at.id ? at : null;
      if (!twin) {
        have.insertBefore(document.importNode(child, true), at);
      } else {
        if (twin === at) at = at.nextSibling;
        else have.insertBefore(twin, at);
        become(twin, child);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  const take = (text) => {
    const want = new DOMParser().parseFromString(text, "text/html");
    const focused = document.activeElement;
    for (const id of ["top", "live", "rest", "foot"]) if (want.getElementById(id)) become(byId(id), want.getElementById(id));
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    if (document.title !== want.title) document.title = want.title;
    if (want.getElementById("icon")) byId("icon").href = want.getElementById("icon").href;
  };

  const complain = (why) => {
    document.body.classList.add("stale");
    const words = why + " What stands here is as of " + lastGood + ".";
    if (stale.textContent !== words) stale.textContent = words;
    stale.hidden = false;
  };

  const look = async () => {
    clearTimeout(timer);
    if (asking) asking.abort();
    const mine = (asking = new AbortController());
    const late = setTimeout(() => mine.abort("late"), PATIENCE);
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { signal: mine.signal, cache: "no-store", redirect: "error" });
      const text = await answer.text();
      if (mine !== asking) return;
      if (answer.status === 503) {
        complain("The agent does not answer.");
      } else {
        take(text);
        lastGood = byId("now").textContent;
        stale.hidden = true;
        document.body.classList.remove("stale");
      }
    } catch {
      if (mine !== asking) return;
      complain("The agent cannot be reached.");
    } finally {
      clearTimeout(late);
    }
    // A page that takes long to draw is asked for less often.
    pauseBetween = 10 * (performance.now() - began);
    plan();
  };

  const plan = () => {
    clearTimeout(timer);
    const every = 1000 * Number(byId("live").dataset.every);
    if (every && !document.hidden) timer = setTimeout(look, Math.max(every, pauseBetween));
  };

  // The form's fields are the address, without those that say nothing.
  const show = () => {
    const pairs = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value && !(name === "sort" && value === "urgency")) pairs.append(name, value);
    const search = pairs.toString();
    history.replaceState(null, "", search ? "/?" + search : "/");
    look();
  };

  let typing;
  form.addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(show, event.target.id === "q" ? 250 : 0);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    show();
  });
  byId("show").hidden = true;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (Number(byId("live").dataset.every)) look();
  });
  plan();
})();
