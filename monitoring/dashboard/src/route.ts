// Where in the dashboard: paths below /ui, changed without loading the page anew.
import {useEffect, useState} from "preact/hooks";

export interface Place {
  path: string; // "/jobs/j-1"; "/" for the overview
  query: URLSearchParams;
}

function here(): Place {
  const path = location.pathname.replace(/^\/ui/, "").replace(/\/+$/, "");
  return {path: path || "/", query: new URLSearchParams(location.search)};
}

// A model's page; its id may have slashes, which stay slashes.
export function modelPlace(id: string): string {
  return "/ui/models/" + id.split("/").map(encodeURIComponent).join("/");
}

const listeners = new Set<() => void>();

export function go(path: string, replace = false): void {
  const url = "/ui" + path;
  if (replace) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  for (const call of listeners) call();
  if (!replace) window.scrollTo(0, 0);
}

// Changes what stands behind the "?"; null takes a name away.
export function setQuery(changes: Record<string, string | null>): void {
  const {path, query} = here();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  const tail = query.toString();
  go(path + (tail ? "?" + tail : ""), true);
}

export function usePlace(): Place {
  const [place, set] = useState(here);
  useEffect(() => {
    const call = () => set(here());
    listeners.add(call);
    window.addEventListener("popstate", call);
    return () => {
      listeners.delete(call);
      window.removeEventListener("popstate", call);
    };
  }, []);
  return place;
}

// Links to other places in here are followed without loading.
document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element | null)?.closest?.("a");
  if (!link || link.target || link.hasAttribute("download")) return;
  if (link.origin !== location.origin || !link.pathname.startsWith("/ui/")) return;
  event.preventDefault();
  go(link.pathname.slice("/ui".length) + link.search);
});
