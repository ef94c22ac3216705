// What the whole page knows of the cluster, kept fresh by one event stream. The stream says that
// something changed; routes say what it is now. After every (re)connection all of it is read anew.
import {useEffect, useState} from "preact/hooks";
import {ApiError, get, onSignedOut, part} from "./api";
import type {Cluster, Curve, Event, Job, Progress, Session, Worker} from "./types";
import {ACTIVE, WAITING} from "./types";

export type Line = "connecting" | "live" | "lost";

const VOLATILE = ["progress", "eval", "warning"];
const DURABLE = [
  "submitted", "admitted", "rejected", "placed", "started", "stop_requested", "checkpoint",
  "released", "attempt_failed", "succeeded", "failed", "cancelled", "paused", "resumed", "resized",
  "hold_released", "priority_changed",
];
const JOBS_KEPT = 300;
const EVENTS_KEPT = 60;
const SPARK_POINTS = 80;
const PAINT_MS = 200;

export const live = {
  session: undefined as Session | null | undefined, // undefined: not known yet; null: signed out
  line: "connecting" as Line,
  cluster: null as Cluster | null,
  workers: [] as Worker[],
  loads: new Map<string, number>(), // of machines: the share of their cores that is busy
  jobs: new Map<string, Job>(),
  more: false, // there are jobs that are not in `jobs`
  sparks: new Map<string, number[]>(), // the newest losses of running jobs
  events: [] as Event[], // durable ones, newest first
  ready: false,
};

const painters = new Set<() => void>();
let painting = 0;

function paint(): void {
  if (painting) return;
  painting = window.setTimeout(() => {
    painting = 0;
    for (const call of [...painters]) call();
  }, PAINT_MS);
}

// Draws the component again when anything of `live` changed, a few times a second at most.
export function useLive(): typeof live {
  const [, set] = useState(0);
  useEffect(() => {
    const call = () => set((n) => n + 1);
    painters.add(call);
    return () => void painters.delete(call);
  }, []);
  return live;
}

const hearers = new Set<(event: Event) => void>();

// Every event as it comes, while the component is shown.
export function useEvents(hear: (event: Event) => void, depends: unknown[]): void {
  useEffect(() => {
    hearers.add(hear);
    return () => void hearers.delete(hear);
  }, depends);
}

// ---- reading -------------------------------------------------------------------------------------

const waiting = new Map<string, number>();

// Soon, and once for all who ask until then.
function soon(key: string, ms: number, work: () => Promise<void>): void {
  if (waiting.has(key)) return;
  waiting.set(key, window.setTimeout(() => {
    waiting.delete(key);
    work().then(paint, () => {});
  }, ms));
}

function keepWorkers(list: Worker[]): void {
  for (const worker of list) {
    const before = live.workers.find((each) => each.id === worker.id);
    if (before?.cpu_seconds == null || worker.cpu_seconds === null) continue;
    const seconds = (Date.parse(worker.last_seen_at ?? "") - Date.parse(before.last_seen_at ?? "")) / 1000;
    if (!(seconds > 1)) continue;
    const busy = (worker.cpu_seconds - before.cpu_seconds) / seconds / Math.max(1, worker.cores);
    live.loads.set(worker.name, Math.min(1, Math.max(0, busy)));
  }
  live.workers = list.filter((worker) => worker.state !== "left")
    .sort((a, b) => a.name.localeCompare(b.name, "en", {numeric: true}));
}

async function readMachines(): Promise<void> {
  const [cluster, workers] = await Promise.all([
    get<Cluster>("/cluster"), get<{data: Worker[]}>("/workers"),
  ]);
  live.cluster = cluster;
  keepWorkers(workers.data);
}

export function readCluster(): void {
  soon("cluster", 250, readMachines);
}

function keep(job: Job): void {
  live.jobs.set(job.id, job);
  if (live.jobs.size <= JOBS_KEPT * 2) return;
  const oldest = [...live.jobs.values()].sort((a, b) => b.sequence - a.sequence);
  live.jobs = new Map(oldest.slice(0, JOBS_KEPT).map((each) => [each.id, each]));
}

export function readJob(id: string): void {
  soon("job " + id, 120, async () => keep(await get<Job>(`/jobs/${part(id)}`)));
}

// Those that wait say how many go first: one job's change is news of all of them.
function readWaiting(): void {
  soon("waiting", 800, async () => {
    const page = await get<{data: Job[]}>(`/jobs?state=queued,validating&limit=${JOBS_KEPT}`);
    page.data.forEach(keep);
  });
}

async function readSpark(job: Job): Promise<void> {
  const {data} = await get<{data: Curve[]}>(
    `/jobs/${job.id}/metrics?names=loss&points=${SPARK_POINTS}`);
  const known = data[0]?.points.map((each) => each.value) ?? [];
  live.sparks.set(job.id, known);
  paint();
}

async function readAll(): Promise<void> {
  const [page] = await Promise.all([
    get<{data: Job[]; next: number | null}>(`/jobs?all=true&limit=${JOBS_KEPT}`), readMachines(),
  ]);
  live.jobs = new Map(page.data.map((job) => [job.id, job]));
  live.more = page.next !== null;
  if (live.more) {
    const unfinished = await get<{data: Job[]}>(
      `/jobs?state=${[...WAITING, ...ACTIVE].join()}&limit=1000`);
    for (const job of unfinished.data) live.jobs.set(job.id, job);
  }
  live.ready = true;
  paint();
  const running = page.data.filter((job) => ACTIVE.has(job.state)).slice(0, 20);
  await Promise.allSettled(running.map(readSpark));
}

// ---- the stream ----------------------------------------------------------------------------------

let stream: EventSource | null = null;
let seen = 0; // the newest durable event's sequence number
let retry = 0;
let backoff = 500;

function hear(message: MessageEvent<string>): void {
  const event = JSON.parse(message.data) as Event;
  event.type = message.type;
  if (event.type === "progress") {
    const job = live.jobs.get(event.job);
    const progress = event as unknown as Progress;
    if (job) live.jobs.set(job.id, {...job, progress});
    if (typeof progress.loss === "number") {
      const spark = live.sparks.get(event.job) ?? [];
      live.sparks.set(event.job, [...spark.slice(1 - SPARK_POINTS), progress.loss]);
    }
  } else if (!VOLATILE.includes(event.type)) {
    seen = Number(message.lastEventId) || seen;
    live.events = [event, ...live.events].slice(0, EVENTS_KEPT);
    readJob(event.job);
    readCluster();
    readWaiting();
  } else if (event.type === "eval" || event.code) {
    readJob(event.job);
  }
  for (const call of [...hearers]) call(event);
  paint();
}

function lose(): void {
  stream?.close();
  stream = null;
  live.line = "lost";
  paint();
  window.clearTimeout(retry);
  retry = window.setTimeout(connect, backoff);
  backoff = Math.min(5000, backoff * 1.6);
}

async function connect(): Promise<void> {
  try {
    live.session = await get<Session>("/ui/session");
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return;
    return lose();
  }
  stream = new EventSource("/api/v1/events" + (seen ? `?after=${seen}` : ""));
  // Read after the stream is open: nothing can change unnoticed.
  stream.onopen = () => readAll().then(() => {
    live.line = "live";
    backoff = 500;
    paint();
  }, lose);
  stream.onerror = lose;
  for (const type of [...DURABLE, ...VOLATILE]) stream.addEventListener(type, hear);
}

export function start(): void {
  window.clearTimeout(retry);
  backoff = 500;
  void connect();
}

onSignedOut(() => {
  live.session = null;
  stream?.close();
  stream = null;
  window.clearTimeout(retry);
  paint();
});

// Machines' numbers change without an event.
window.setInterval(() => {
  if (live.session && live.line === "live" && !document.hidden) readCluster();
}, 5000);
