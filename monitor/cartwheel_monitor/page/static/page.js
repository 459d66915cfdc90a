// Keeps a view fresh: its <main> is fetched again and replaced. Without JavaScript the view stays
// as it was loaded.
"use strict";

const seconds = Number(document.querySelector("main[data-refresh]")?.dataset.refresh ?? 0);

async function refresh() {
  if (document.hidden || document.querySelector("main :focus")) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [now, next] = [document, fresh].map((one) => one.querySelector("main"));
    if (!next) return;
    now.replaceChildren(...next.childNodes);
    document.querySelector("footer").replaceChildren(...fresh.querySelector("footer").childNodes);
    document.dispatchEvent(new Event("refreshed"));
  } catch {
    // The page is not reachable just now; the footer says how old the view is.
  }
}

if (seconds) setInterval(refresh, seconds * 1000);
