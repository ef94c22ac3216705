// Every job: filtered and paged by the coordinator, only the rows in sight are drawn.
import {useEffect, useLayoutEffect, useMemo, useRef, useState} from "preact/hooks";
import type {Job, State} from "../types";
import {ACTIVE, FINISHED, WAITING} from "../types";
import {get} from "../api";
import {ago, count, duration, number} from "../format";
import {matches, metricsText, ranSeconds} from "../jobfacts";
import {useLive} from "../live";
import {Badge, Bar, Empty, Failure, Heading, Panel, useTick, useTitle} from "../parts";
import {setQuery, usePlace} from "../route";

const PAGE = 200;
const ROW_PX = 44;
const SPARE_ROWS = 8;

const FILTERS: [name: string, states: State[]][] = [
  ["all", []],
  ["running", [...ACTIVE]],
  ["waiting", [...WAITING]],
  ["succeeded", ["succeeded"]],
  ["failed", ["failed"]],
  ["cancelled", ["cancelled"]],
];

interface Page {
  data: Job[];
  next: number | null;
}

// Pages as they are scrolled to; jobs that the stream knows better replace what was read.
function usePages(filter: string, text: string) {
  const {line} = useLive();
  const [jobs, setJobs] = useState<Job[]>([]);
  const [next, setNext] = useState<number | null | undefined>(undefined);
  const [error, setError] = useState<unknown>();
  const [turn, setTurn] = useState(0);
  const reading = useRef<AbortController | null>(null);
  const states = FILTERS.find(([name]) => name === filter)?.[1] ?? [];
  const read = async (before: number | null) => {
    const stop = new AbortController();
    reading.current = stop;
    const query = new URLSearchParams({all: "true", limit: String(PAGE)});
    if (states.length > 0) query.set("state", states.join(","));
    if (text !== "") query.set("q", text);
    try {
      for (let at = before; ;) {
        if (at !== null) query.set("before", String(at));
        const page = await get<Page>(`/jobs?${query}`, stop.signal);
        const first = at === null;
        setJobs((known) => (first ? page.data : [...known, ...page.data]));
        setNext(page.next);
        setError(undefined);
        // A page may be empty though there are more: the coordinator looks at so many at a time.
        if (page.data.length > 0 || page.next === null) break;
        at = page.next;
      }
    } catch (failed) {
      if (!stop.signal.aborted) setError(failed);
    }
    if (reading.current === stop) reading.current = null;
  };
  useEffect(() => {
    if (line === "lost") return;
    reading.current?.abort();
    setNext(undefined);
    const timer = window.setTimeout(() => void read(null), text === "" ? 0 : 200);
    return () => {
      window.clearTimeout(timer);
      reading.current?.abort();
    };
  }, [filter, text, turn, line === "lost"]);
  return {
    jobs, error, done: next === null, again: () => setTurn((n) => n + 1),
    more: () => { if (typeof next === "number" && !reading.current) void read(next); },
  };
}

// What it learned, or why it does not run.
function result(job: Job): string {
  if (job.result === null) return job.message ?? "";
  return metricsText(Object.entries(job.result.metrics).filter(([name]) => name !== "loss"));
}

function Row({job}: {job: Job}) {
  return (
    <>
      <span role="cell" class="name"><a href={`/ui/jobs/${job.id}`}><b>{job.name}</b> <code>{job.id}</code></a></span>
      <span role="cell"><Badge state={job.state} held={job.held} /></span>
      <span role="cell" class="why muted" title={job.message ?? ""}>{job.progress && !FINISHED.has(job.state) ? (
        <Bar part={job.progress.step} whole={job.progress.total_steps} label={`steps of ${job.name}`} />
      ) : job.state === "failed" ? `${job.reason}: ${job.message ?? ""}` : result(job)}</span>
      <span role="cell" class="num">{number(job.progress?.loss)}</span>
      <span role="cell" class="num">{duration(ranSeconds(job))}</span>
      <span role="cell" class="user">{job.user}</span>
      <span role="cell" class="num when">{ago(job.submitted_at)}</span>
    </>
  );
}

function List({jobs, end}: {jobs: Job[]; end: () => void}) {
  const {jobs: known} = useLive();
  const box = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState({from: 0, to: 40});
  const look = () => {
    const node = box.current;
    if (!node) return;
    const from = Math.max(0, Math.floor(node.scrollTop / ROW_PX) - SPARE_ROWS);
    const to = Math.ceil((node.scrollTop + node.clientHeight) / ROW_PX) + SPARE_ROWS;
    setSeen((was) => (was.from === from && was.to === to ? was : {from, to}));
    if (to >= jobs.length) end();
  };
  useLayoutEffect(look, [jobs.length]);
  useEffect(() => {
    window.addEventListener("resize", look);
    return () => window.removeEventListener("resize", look);
  });
  return (
    <div ref={box} class="vlist" onScroll={look} tabIndex={0} role="table" aria-label="jobs"
         aria-rowcount={jobs.length + 1}>
      <div role="row" class="vrow head" aria-rowindex={1}>
        {["Job", "State", "Progress or result", "Loss", "Ran", "User", "Submitted"].map((name, i) => (
          <span key={name} role="columnheader" class={i === 3 || i === 4 || i === 6 ? "num" : ""}>
            {name}</span>
        ))}
      </div>
      <div class="tall" role="rowgroup" style={{height: `${jobs.length * ROW_PX}px`}}>
        {jobs.slice(seen.from, seen.to).map((job, i) => (
          <div key={job.id} role="row" class="vrow" aria-rowindex={seen.from + i + 2}
               style={{transform: `translateY(${(seen.from + i) * ROW_PX}px)`}}>
            <Row job={known.get(job.id) ?? job} />
          </div>
        ))}
      </div>
    </div>
  );
}

export function Jobs() {
  useTitle("Jobs");
  useTick(5000);
  const {query} = usePlace();
  const {jobs: known, cluster, session} = useLive();
  const filter = query.get("state") ?? "all";
  const text = (query.get("q") ?? "").trim().toLowerCase();
  const pages = usePages(filter, text);
  const states = FILTERS.find(([name]) => name === filter)?.[1] ?? [];
  const shown = useMemo(() => {
    const all = new Map(pages.jobs.map((job) => [job.id, job]));
    const oldest = pages.jobs.at(-1)?.sequence ?? 0;
    for (const job of known.values()) {
      if (all.has(job.id) || job.sequence > oldest || pages.done) all.set(job.id, job);
    }
    return [...all.values()]
      .filter((job) => states.length === 0 || states.includes(job.state))
      .filter((job) => matches(job, text))
      .sort((a, b) => b.sequence - a.sequence);
  }, [pages.jobs, known, pages.done, [...known.values()].map((job) => job.id + job.state).join(), filter, text]);
  const total = (wanted: State[]) => wanted.length === 0
    ? Object.values(cluster?.jobs ?? {}).reduce((a, b) => a + b, 0)
    : wanted.reduce((sum, state) => sum + (cluster?.jobs[state] ?? 0), 0);
  return (
    <>
      <Heading title="Jobs" />
      <div class="filters">
        <div class="chips" role="group" aria-label="which jobs">
          {FILTERS.map(([name, each]) => (
            <button key={name} type="button" aria-pressed={name === filter}
                    onClick={() => setQuery({state: name === "all" ? null : name})}>
              {name} <em>{count(total(each))}</em>
            </button>
          ))}
        </div>
        <input type="search" placeholder="Name, id or user" aria-label="filter by name, id or user"
               value={query.get("q") ?? ""}
               onInput={(event) => {
                 setQuery({q: event.currentTarget.value || null});
               }} />
      </div>
      <Failure error={pages.error} again={pages.again} />
      <Panel flush>
        {shown.length === 0 && pages.done ? (
          text ? <Empty title={`No job has "${text}" in its name, id or user`} />
            : filter === "all" ? (
              <Empty title="No jobs yet">
                {session?.scope !== "viewer" && <a href="/ui/new">Start the first one</a>}
              </Empty>
            ) : <Empty title={`No ${filter} jobs`} />
        ) : <List jobs={shown} end={pages.more} />}
      </Panel>
    </>
  );
}
