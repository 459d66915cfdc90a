// Keeps a view fresh: its <main> is fetched again and replaced. Without JavaScript the view stays
// as it was loaded.
"use strict";

// The server need not have the view loaded again by itself.
document.cookie = "script=1; path=/; SameSite=Lax";

function seconds() {
  return Number(document.querySelector("main").dataset.refresh ?? 0);
}

async function refresh() {
  if (document.hidden || document.querySelector("main :focus")) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [now, next] = [document, fresh].map((one) => one.querySelector("main"));
    if (!next) return;
    now.replaceChildren(...next.childNodes);
    now.dataset.refresh = next.dataset.refresh ?? 0;
    document.querySelector("footer").replaceChildren(...fresh.querySelector("footer").childNodes);
    document.dispatchEvent(new Event("refreshed"));
  } catch {
    // The page is not reachable just now; the footer says how old the view is.
  }
}

async function again() {
  await refresh();
  if (seconds()) setTimeout(again, seconds() * 1000);
}

if (seconds()) setTimeout(again, seconds() * 1000);
