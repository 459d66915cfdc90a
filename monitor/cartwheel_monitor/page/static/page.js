// Keeps a view fresh: its <main> is fetched again and replaced. Without JavaScript the view stays
// as it was loaded.
"use strict";

// The server need not have the view loaded again by itself.
document.cookie = "script=1; path=/; SameSite=Lax";

function seconds() {
  return Number(document.querySelector("main").dataset.refresh ?? 0);
}

// Whether a refresh would take away what somebody writes, chooses, points at or has marked.
function isInUse(main) {
  const selection = getSelection();
  const isMarked = !selection.isCollapsed && main.contains(selection.anchorNode);
  return isMarked || main.querySelector("input:focus, select:focus, textarea:focus") !== null;
}

// The same element after a refresh: by its id, else by what it is and which one of these.
function finder(element) {
  if (element.id) return (main) => main.querySelector(`#${CSS.escape(element.id)}`);
  const link = element.getAttribute("href");
  const same = (main) =>
    [...main.querySelectorAll(element.localName)].filter((one) => one.getAttribute("href") === link);
  const place = same(document.querySelector("main")).indexOf(element);
  return (main) => same(main)[place];
}

// What a person has done with the view; the answer does it again.
function kept(main) {
  const opened = [...main.querySelectorAll("details[id]")].map(({ id, open }) => [id, open]);
  const scrolled = [...main.querySelectorAll(".scroll")]
    .filter((one) => one.scrollLeft)
    .map((one) => [finder(one), one.scrollLeft]);
  const focused = main.contains(document.activeElement) ? finder(document.activeElement) : null;
  const [left, top] = [scrollX, scrollY];
  return () => {
    opened.forEach(([id, open]) => {
      const one = document.getElementById(id);
      if (one) one.open = open;
    });
    scrolled.forEach(([find, distance]) => {
      const one = find(main);
      if (one) one.scrollLeft = distance;
    });
    focused?.(main)?.focus({ preventScroll: true });
    scrollTo(left, top);
  };
}

// Whether the view is old because the page did not answer.
function note(isOld) {
  document.querySelector(".stale").hidden = !isOld;
}

async function refresh() {
  const now = document.querySelector("main");
  if (document.hidden || isInUse(now)) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) return location.reload(); // the session is over
    note(!answer.ok);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = fresh.querySelector("main");
    if (!next || isInUse(now)) return;
    const again = kept(now);
    now.replaceChildren(...next.childNodes);
    now.dataset.refresh = next.dataset.refresh ?? 0;
    document.querySelector("footer").replaceChildren(...fresh.querySelector("footer").childNodes);
    document.dispatchEvent(new Event("refreshed"));
    again();
  } catch {
    note(true);
  }
}

async function again() {
  await refresh();
  if (seconds()) setTimeout(again, seconds() * 1000);
}

if (seconds()) {
  setTimeout(again, seconds() * 1000);
  document.addEventListener("visibilitychange", refresh);
}
