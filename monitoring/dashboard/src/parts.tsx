// What pages are made of.
import type {ComponentChildren, JSX} from "preact";
import {useEffect, useRef, useState} from "preact/hooks";
import {ApiError, said, UNREACHABLE} from "./api";
import {useLive} from "./live";
import type {Job, State} from "./types";
import {count, duration, percent} from "./format";

// ---- icons ---------------------------------------------------------------------------------------

const PATHS: Record<string, string> = {
  overview: "M3 11l7-7 7 7M5 9.5V16h10V9.5",
  jobs: "M4 5h12M4 10h12M4 15h8",
  queue: "M4 5h12M6 10h8M8 15h4",
  cluster: "M3 4h14v5H3zM3 11h14v5H3zM6 6.5h.01M6 13.5h.01",
  compare: "M3 15l4-6 3 3 3-7 4 6",
  models: "M10 3l7 4-7 4-7-4zM3 13l7 4 7-4M3 10l7 4 7-4",
  settings: "M4 6h7M15 6h1M4 14h1M9 14h7M11 4v4M7 12v4",
  plus: "M10 4v12M4 10h12",
  search: "M9 4a5 5 0 100 10A5 5 0 009 4zM13 13l4 4",
  pause: "M7 5v10M13 5v10",
  play: "M6 4l10 6-10 6z",
  stop: "M5 5h10v10H5z",
  copy: "M7 7h9v9H7zM4 13V4h9",
  resize: "M4 10h12M7 7l-3 3 3 3M13 7l3 3-3 3",
  download: "M10 3v9M6 9l4 4 4-4M4 16h12",
  up: "M10 16V4M5 9l5-5 5 5",
  down: "M10 4v12M5 11l5 5 5-5",
  close: "M5 5l10 10M15 5L5 15",
  warning: "M10 3l8 14H2zM10 8v4M10 14.5h.01",
  file: "M5 3h7l3 3v11H5zM12 3v3h3",
  check: "M4 10l4 4 8-9",
};

export function Icon({name}: {name: string}) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

// ---- words ---------------------------------------------------------------------------------------

export function Badge({state, held}: {state: State; held?: boolean}) {
  const shown = held && state === "queued" ? "held" : state;
  return <span class={`badge s-${shown}`}>{shown}</span>;
}

export function JobName({job}: {job: Job}) {
  return (
    <a class="jobname" href={`/ui/jobs/${job.id}`}>
      <b>{job.name}</b> <code>{job.id}</code>
    </a>
  );
}

export function Panel(props: {
  title?: ComponentChildren; aside?: ComponentChildren; children: ComponentChildren; class?: string;
  flush?: boolean;
}) {
  return (
    <section class={`panel ${props.class ?? ""} ${props.flush ? "flush" : ""}`}>
      {props.title !== undefined && (
        <header>
          <h2>{props.title}</h2>
          {props.aside && <div class="aside">{props.aside}</div>}
        </header>
      )}
      {props.children}
    </section>
  );
}

export function Empty({title, children}: {title: string; children?: ComponentChildren}) {
  return (
    <div class="empty">
      <p class="title">{title}</p>
      {children && <div>{children}</div>}
    </div>
  );
}

// Whatever went wrong, with what to do about it.
export function Failure({error, again}: {error: unknown; again?: () => void}) {
  if (!error) return null;
  const problems = error instanceof ApiError ? error.problems : [];
  return (
    <div class="notice bad" role="alert">
      <Icon name="warning" />
      <div>
        {problems.length > 1 ? (
          <ul>{problems.map((each) => <li>{each.message}</li>)}</ul>
        ) : (
          <p>{said(error)}{problems[0]?.where ? <> <code>{problems[0].where}</code></> : null}</p>
        )}
        {problems[0]?.hint && <p class="hint">{problems[0].hint}</p>}
      </div>
      {again && <button type="button" onClick={again}>Try again</button>}
    </div>
  );
}

export function Notice({kind, children}: {kind: "info" | "note" | "warn" | "bad"; children: ComponentChildren}) {
  return (
    <div class={`notice ${kind}`} role={kind === "bad" ? "alert" : "status"}>
      <Icon name="warning" />
      <div>{children}</div>
    </div>
  );
}

export function Facts({rows}: {rows: [string, ComponentChildren][]}) {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}><dt>{name}</dt><dd>{value}</dd></div>
      ))}
    </dl>
  );
}

// Where specs differ: a row for each field, a column for each job.
export function SpecDiff({jobs, rows}: {jobs: string[]; rows: {field: string; values: string[]}[]}) {
  return (
    <div class="scroll">
      <table class="rows small">
        <thead><tr><th scope="col">Field</th>
          {jobs.map((name, i) => <th key={i} scope="col">{name}</th>)}</tr></thead>
        <tbody>
          {rows.map(({field, values}) => (
            <tr key={field}><th scope="row"><code>{field}</code></th>
              {values.map((value, i) => <td key={i}><code>{value}</code></td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Stat(props: {
  label: string; value: ComponentChildren; unit?: ComponentChildren; note?: ComponentChildren;
  children?: ComponentChildren;
}) {
  return (
    <div class="stat">
      <span class="label">{props.label}</span>
      <span class="value">{props.value}{props.unit && <small> {props.unit}</small>}</span>
      {props.note && <span class="note">{props.note}</span>}
      {props.children}
    </div>
  );
}

// ---- small pictures ------------------------------------------------------------------------------

// The content policy allows no style attributes; Preact sets each property of a style={{…}} through the
// object model, which it allows.
export function Bar({part, whole, label, kind}: {
  part: number; whole: number; label: string; kind?: string;
}) {
  const share = percent(part, whole);
  return (
    <div class={`bar ${kind ?? ""}`} role="progressbar" aria-label={label} aria-valuemin={0}
         aria-valuemax={100} aria-valuenow={Math.round(share)}>
      <span style={{width: `${share}%`}} />
    </div>
  );
}

export function Spark({values, label}: {values: number[]; label: string}) {
  const shown = values.filter(Number.isFinite);
  if (shown.length < 2) return <span class="spark none">–</span>;
  const low = Math.min(...shown);
  const high = Math.max(...shown);
  const span = high - low || 1;
  const points = shown.map((value, i) =>
    `${((i / (shown.length - 1)) * 118 + 1).toFixed(1)},${(25 - ((value - low) / span) * 22).toFixed(1)}`);
  return (
    <svg class="spark" viewBox="0 0 120 28" preserveAspectRatio="none" role="img" aria-label={label}>
      <polyline points={points.join(" ")} />
    </svg>
  );
}

export function StepBar({job}: {job: Job}) {
  const progress = job.progress;
  if (!progress) return <span class="muted">–</span>;
  return (
    <div class="stepbar">
      <Bar part={progress.step} whole={progress.total_steps} label={`steps of ${job.name}`} />
      <span class="num">{count(progress.step)} / {count(progress.total_steps)}</span>
    </div>
  );
}

export function Eta({job}: {job: Job}) {
  const seconds = job.progress?.eta_seconds;
  return <>{job.state === "running" && seconds !== null ? duration(seconds) : "–"}</>;
}

// ---- fields --------------------------------------------------------------------------------------

export function Field({label, hint, children}: {label: string; hint?: string; children: ComponentChildren}) {
  return (
    <label class="field"><span>{label}</span>{children}{hint && <span class="hint">{hint}</span>}</label>
  );
}

// One of a few choices, all in sight.
export function Radios<T extends string | number>(props: {
  legend: string; name: string; choices: readonly T[]; chosen: T; choose: (choice: T) => void;
}) {
  return (
    <fieldset class="choice">
      <legend>{props.legend}</legend>
      {props.choices.map((each) => (
        <label key={each}>
          <input type="radio" name={props.name} checked={each === props.chosen}
                 onChange={() => props.choose(each)} />
          <span>{each}</span>
        </label>
      ))}
    </fieldset>
  );
}

// ---- doing ---------------------------------------------------------------------------------------

export function Button(props: {
  children: ComponentChildren; icon?: string; kind?: "primary" | "danger" | "quiet"; title?: string;
  disabled?: boolean; run: () => Promise<unknown> | void;
}) {
  const [busy, setBusy] = useState(false);
  const click = async () => {
    setBusy(true);
    try {
      await props.run();
    } catch (error) {
      tell(said(error), error instanceof ApiError ? error.hint : "", true);
    } finally {
      setBusy(false);
    }
  };
  return (
    <button type="button" class={props.kind ?? ""} title={props.title} onClick={click}
            disabled={busy || props.disabled} aria-busy={busy}>
      {props.icon && <Icon name={props.icon} />}
      <span>{props.children}</span>
    </button>
  );
}

export function Dialog(props: {
  title: string; children: ComponentChildren; close: () => void; wide?: boolean;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = ref.current!;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return (
    <dialog ref={ref} class={props.wide ? "wide" : ""} aria-labelledby="dialog-title"
            onCancel={(event) => { event.preventDefault(); props.close(); }}
            onClick={(event) => event.target === ref.current && props.close()}>
      <div class="inside">
        <h2 id="dialog-title">{props.title}</h2>
        {props.children}
      </div>
    </dialog>
  );
}

export function Confirm(props: {
  title: string; children: ComponentChildren; yes: string; run: () => Promise<unknown>;
  close: () => void; danger?: boolean;
}) {
  return (
    <Dialog title={props.title} close={props.close}>
      {props.children}
      <div class="actions">
        <Button run={props.close}>Leave it</Button>
        <Button kind={props.danger ? "danger" : "primary"}
                run={async () => { await props.run(); props.close(); }}>{props.yes}</Button>
      </div>
    </Dialog>
  );
}

export function Copy({text, what}: {text: string; what: string}) {
  return (
    <Button kind="quiet" icon="copy" title={`Copy ${what}`} run={async () => {
      await navigator.clipboard.writeText(text);
      tell(`${what} is copied`);
    }}>Copy</Button>
  );
}

// ---- short messages ------------------------------------------------------------------------------

interface Toast {
  id: number;
  text: string;
  hint: string;
  bad: boolean;
}
let toasts: Toast[] = [];
let nextToast = 1;
let showToasts: () => void = () => {};
const TOAST_MS = 6000;

export function tell(text: string, hint = "", bad = false): void {
  const id = nextToast++;
  toasts = [...toasts.slice(-2), {id, text, hint, bad}];
  showToasts();
  window.setTimeout(() => {
    toasts = toasts.filter((each) => each.id !== id);
    showToasts();
  }, bad ? 2 * TOAST_MS : TOAST_MS);
}

export function Toasts() {
  const [, set] = useState(0);
  showToasts = () => set((n) => n + 1);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.map((each) => (
        <div key={each.id} class={each.bad ? "toast bad" : "toast"}>
          <p>{each.text}</p>
          {each.hint && <p class="hint">{each.hint}</p>}
        </div>
      ))}
    </div>
  );
}

// ---- reading -------------------------------------------------------------------------------------

export interface Read<T> {
  value: T | undefined;
  error: unknown;
  again: () => void;
}

// Reads once, again when `depends` change or again() is called, and when the coordinator is back.
export function useRead<T>(read: (signal: AbortSignal) => Promise<T>, depends: unknown[]): Read<T> {
  const [value, setValue] = useState<T>();
  const [error, setError] = useState<unknown>();
  const [turn, setTurn] = useState(0);
  const line = useLive().line;
  useEffect(() => {
    if (line === "lost") return;
    const stop = new AbortController();
    read(stop.signal).then((got) => {
      if (stop.signal.aborted) return;
      setValue(() => got);
      setError(undefined);
    }, (failed: unknown) => {
      // That nobody answers is told once, for the whole page.
      const away = failed instanceof ApiError && failed.status === UNREACHABLE;
      if (!stop.signal.aborted && !away) setError(failed);
    });
    return () => stop.abort();
  }, [...depends, turn, line === "lost"]);
  return {value, error, again: () => setTurn((n) => n + 1)};
}

export function useTick(ms: number): void {
  const [, set] = useState(0);
  useEffect(() => {
    const timer = window.setInterval(() => set((n) => n + 1), ms);
    return () => window.clearInterval(timer);
  }, [ms]);
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Tutti` : "Tutti";
  }, [title]);
}

export function Heading({title, children, crumb}: {
  title: ComponentChildren; children?: ComponentChildren; crumb?: ComponentChildren;
}) {
  return (
    <div class="heading">
      <div>
        {crumb && <div class="crumb">{crumb}</div>}
        <h1>{title}</h1>
      </div>
      {children && <div class="actions">{children}</div>}
    </div>
  );
}

export function Tabs({tabs, at, set}: {
  tabs: [string, string][]; at: string; set: (tab: string) => void;
}) {
  const move = (event: JSX.TargetedKeyboardEvent<HTMLElement>) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    const i = tabs.findIndex(([id]) => id === at);
    const next = tabs[(i + by + tabs.length) % tabs.length][0];
    set(next);
    document.getElementById("tab-" + next)?.focus();
  };
  return (
    <div class="tabs" role="tablist" onKeyDown={move}>
      {tabs.map(([id, label]) => (
        <button key={id} id={"tab-" + id} type="button" role="tab" aria-selected={id === at}
                tabIndex={id === at ? 0 : -1} onClick={() => set(id)}>{label}</button>
      ))}
    </div>
  );
}
