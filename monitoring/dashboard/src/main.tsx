// The dashboard: the frame around pages, keys, signing in.
import {render} from "preact";
import {useEffect, useRef, useState} from "preact/hooks";
import "./app.css";
import {api, said} from "./api";
import {matches} from "./jobfacts";
import {start, useLive} from "./live";
import {Dialog, Icon, Toasts, useTitle} from "./parts";
import {go, usePlace} from "./route";
import {Compare} from "./pages/compare";
import {ClusterPage, Machine} from "./pages/cluster";
import {JobPage} from "./pages/job";
import {Jobs} from "./pages/jobs";
import {ModelPage, Models} from "./pages/models";
import {NewJob} from "./pages/newjob";
import {Overview} from "./pages/overview";
import {QueuePage} from "./pages/queue";
import {Settings} from "./pages/settings";
import {applyTheme} from "./theme";

const PLACES: [path: string, label: string, icon: string, key: string][] = [
  ["/", "Overview", "overview", "o"],
  ["/jobs", "Jobs", "jobs", "j"],
  ["/queue", "Queue", "queue", "q"],
  ["/cluster", "Cluster", "cluster", "c"],
  ["/compare", "Compare", "compare", "v"],
  ["/models", "Models", "models", "m"],
  ["/settings", "Settings", "settings", "s"],
];

function Navigation({path}: {path: string}) {
  const {cluster} = useLive();
  const waiting = (cluster?.jobs.queued ?? 0) + (cluster?.jobs.validating ?? 0);
  return (
    <nav class="nav" aria-label="Pages">
      {PLACES.map(([to, label, icon]) => {
        const here = to === "/" ? path === "/" : path === to || path.startsWith(to + "/");
        return (
          <a key={to} href={"/ui" + to} aria-current={here ? "page" : undefined}>
            <Icon name={icon} /><span>{label}</span>
            {to === "/queue" && waiting > 0 && (
              <em aria-label={`${waiting} waiting`}>{waiting}</em>
            )}
          </a>
        );
      })}
    </nav>
  );
}

function LineState() {
  const {line, cluster} = useLive();
  if (line === "live" && cluster?.read_only) {
    return <span class="line warn" title="The disk took no more: jobs run on, nothing new is taken">
      read only</span>;
  }
  const words = {live: "live", connecting: "connecting…", lost: "reconnecting…"};
  return <span class={`line ${line}`} role="status">{words[line]}</span>;
}

// Jobs whose name or id has the words; Enter goes to the first.
function Search() {
  const {jobs} = useLive();
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(0);
  const query = text.trim().toLowerCase();
  const found = query === "" ? [] : [...jobs.values()]
    .filter((job) => matches(job, query))
    .sort((a, b) => b.sequence - a.sequence).slice(0, 8);
  const leave = () => {
    setOpen(false);
    setText("");
    (document.activeElement as HTMLElement | null)?.blur();
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt(Math.min(found.length - 1, at + 1));
    else if (event.key === "ArrowUp") setAt(Math.max(0, at - 1));
    else if (event.key === "Escape") leave();
    else if (event.key === "Enter") {
      const job = found[at];
      go(job ? `/jobs/${job.id}` : `/jobs?q=${encodeURIComponent(text.trim())}`);
      leave();
    } else return;
    event.preventDefault();
  };
  return (
    <div class="search" role="search">
      <Icon name="search" />
      <input id="search" type="search" placeholder="Find a job" aria-label="Find a job" value={text}
             role="combobox" aria-expanded={open && found.length > 0} aria-controls="found"
             autocomplete="off"
             onInput={(event) => { setText(event.currentTarget.value); setOpen(true); setAt(0); }}
             onFocus={() => setOpen(true)} onBlur={() => setTimeout(() => setOpen(false), 150)}
             onKeyDown={key} />
      <kbd aria-hidden="true">/</kbd>
      <ul id="found" role="listbox" aria-label="Jobs found" hidden={!open || found.length === 0}>
        {found.map((job, i) => (
          <li key={job.id} role="option" aria-selected={i === at}
              onMouseDown={() => { go(`/jobs/${job.id}`); leave(); }}>
            <b>{job.name}</b> <code>{job.id}</code> <span class="muted">{job.state}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Keys({close}: {close: () => void}) {
  const rows: [string, string][] = [
    ["/", "find a job"], ["n", "new job"],
    ...PLACES.map(([, label, , key]): [string, string] => [`g ${key}`, label.toLowerCase()]),
    ["t", "dark or light"], ["?", "this list"], ["Esc", "close"],
  ];
  return (
    <Dialog title="Keys" close={close}>
      <dl class="keys">
        {rows.map(([key, what]) => (
          <div key={key}>
            <dt>{key.split(" ").map((each) => <kbd key={each}>{each}</kbd>)}</dt><dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

function useKeys(help: () => void): void {
  useEffect(() => {
    let before = "";
    let timer = 0;
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (target.closest("input, textarea, select, dialog, [contenteditable]")) return;
      const chord = before;
      before = "";
      window.clearTimeout(timer);
      if (chord === "g") {
        const place = PLACES.find((each) => each[3] === event.key);
        if (place) go(place[0]);
        return;
      }
      if (event.key === "g") {
        before = "g";
        timer = window.setTimeout(() => { before = ""; }, 1000);
      } else if (event.key === "/") {
        event.preventDefault();
        document.getElementById("search")?.focus();
      } else if (event.key === "n") go("/new");
      else if (event.key === "t") applyTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
      else if (event.key === "?") help();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}

function SignIn() {
  useTitle("Sign in");
  const used = new URLSearchParams(location.search).has("ticket");
  const [token, setToken] = useState("");
  const [error, setError] = useState("");
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await api("POST", "/ui/session", undefined, {headers: {authorization: `Bearer ${token.trim()}`}});
      go("/", true);
      start();
    } catch (failed) {
      setError(said(failed));
    }
  };
  return (
    <main class="signin">
      <img src="/ui/icon.svg" alt="" width="44" height="44" />
      <h1>Tutti</h1>
      {used && <p class="notice warn">That address was used before or is older than a minute.</p>}
      <p>Run this where your cluster's token is. It opens the dashboard, signed in:</p>
      <pre>tutti ui</pre>
      <form onSubmit={submit}>
        <label for="token">Or paste a token</label>
        <div class="row">
          <input id="token" type="password" value={token} autocomplete="off" required
                 onInput={(event) => setToken(event.currentTarget.value)} />
          <button type="submit" class="primary">Sign in</button>
        </div>
        {error && <p class="notice bad" role="alert">{error}</p>}
      </form>
    </main>
  );
}

function Page({path}: {path: string}) {
  const [, first, ...rest] = path.split("/");
  const name = rest.map(decodeURIComponent).join("/");
  if (!first) return <Overview />;
  if (first === "jobs") return name ? <JobPage key={name} id={name} /> : <Jobs />;
  if (first === "queue") return <QueuePage />;
  if (first === "cluster") return name ? <Machine key={name} name={name} /> : <ClusterPage />;
  if (first === "compare") return <Compare />;
  if (first === "new") return <NewJob />;
  if (first === "models") return name ? <ModelPage key={name} id={name} /> : <Models />;
  if (first === "settings") return <Settings />;
  return <div class="empty"><h1>There is no such page</h1><p><a href="/ui/">To the overview</a></p></div>;
}

function Frame() {
  const {session, ready, line} = useLive();
  const {path} = usePlace();
  const [keys, setKeys] = useState(false);
  const main = useRef<HTMLElement>(null);
  useKeys(() => setKeys(true));
  useEffect(() => main.current?.focus({preventScroll: true}), [path]);
  if (session === null) return <SignIn />;
  return (
    <div class="frame">
      <a class="skip" href="#main">To the content</a>
      <header class="top">
        <a class="brand" href="/ui/"><img src="/ui/icon.svg" alt="" width="24" height="24" />Tutti</a>
        <Search />
        <LineState />
        {session?.scope !== "viewer" && (
          <a class="button primary" href="/ui/new" aria-label="New job"><Icon name="plus" /><span>New job</span></a>
        )}
      </header>
      <Navigation path={path} />
      <main id="main" ref={main} tabIndex={-1}>
        {line === "lost" && (
          <p class="notice warn" role="status">
            The coordinator does not answer. Running jobs go on without it; this page comes back by
            itself.
          </p>
        )}
        {ready ? <Page path={path} /> : <div class="loading" role="status">Reading the cluster…</div>}
      </main>
      {keys && <Keys close={() => setKeys(false)} />}
      <Toasts />
    </div>
  );
}

applyTheme(null);
render(<Frame />, document.getElementById("app")!);
start();
