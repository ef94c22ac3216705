// The API's objects, as far as pages use them (docs/formats/http-api.md).

export type State =
  | "validating" | "queued" | "starting" | "running" | "succeeded" | "failed" | "cancelled"
  | "paused" | "preempting" | "recovering" | "resizing" | "cancelling";

export interface Progress {
  step: number;
  total_steps: number;
  epoch: number | null;
  loss: number | null;
  learning_rate: number | null;
  grad_norm: number | null;
  tokens_per_second: number | null;
  eta_seconds: number | null;
}

export interface Attempt {
  attempt: number;
  ranks: number;
  workers: string[];
  placed_at: string;
  started_at: string | null;
  ended_at: string | null;
  reason: string | null;
  message: string | null;
  from_step: number | null;
  bits_changed: boolean;
}

export interface Checkpoint {
  step: number;
  attempt: number;
  path: string;
  state_digest: string;
  size_bytes: number;
  committed_at: string;
}

export interface Estimate {
  memory_bytes_per_rank: number | null;
  disk_bytes: number | null;
  export_bytes: number | null;
  total_steps: number | null;
  rows: number | null;
  tokens: number | null;
  training_seconds: number | null;
  warnings: string[];
  start_at: string | null;
  end_at: string | null;
}

export interface Stall {
  rank: number;
  worker: string;
  message: string;
}

export interface Job {
  id: string;
  name: string;
  task: string;
  model: string;
  state: State;
  reason: string | null;
  message: string | null;
  attempt: number | null;
  queue: string;
  priority: number;
  user: string;
  held: boolean;
  sequence: number;
  submitted_at: string;
  since: string;
  finished_at: string | null;
  ranks: {min: number; max: number; current: number | null};
  progress: Progress | null;
  eval: ({step: number} & Record<string, number | null>) | null;
  pending: {missing_slots: number; missing_gpus: number; jobs_ahead: number} | null;
  stalled: Stall[];
  straggler: {rank: number; worker: string; delay_seconds: number} | null;
  estimate: Estimate | null;
  measured: {memory_bytes_peak: number} | null;
  attempts: Attempt[];
  checkpoints: Checkpoint[];
  result: {model: string; path: string; digest: string; metrics: Record<string, number>} | null;
}

export interface Event {
  seq?: number;
  type: string;
  job: string;
  at: string;
  attempt?: number;
  name?: string;
  ranks?: number;
  workers?: string[];
  reason?: string;
  message?: string;
  step?: number;
  from_step?: number;
  priority?: number;
  code?: string;
  metrics?: Record<string, number>;
  [field: string]: unknown;
}

export interface Worker {
  id: string;
  name: string;
  state: "up" | "lost" | "left";
  version: string;
  slots: number;
  slots_used: number;
  gpus: number;
  gpus_used: number;
  gpu_model: string | null;
  cores: number;
  memory_bytes: number | null;
  memory_bytes_used: number | null;
  disk_free_bytes: number | null;
  cpu_seconds: number | null;
  cpu_model: string | null;
  numerics_fingerprint: string | null;
  pid: number | null;
  last_seen_at: string | null;
  address: string | null;
  draining: boolean;
  labels: Record<string, string>;
  gangs: {job: string; attempt: number; ranks: number; stopping: boolean; rank_pids: number[]}[];
}

export interface Cluster {
  version: string;
  revision: string;
  generation: number;
  data_dir: string;
  policy: string;
  read_only: boolean;
  slots: {total: number; used: number};
  gpus: {total: number; used: number};
  jobs: Record<string, number>;
}

export interface Queue {
  name: string;
  queued: number;
  running: number;
  slots_used: number;
  gpus_used: number;
  weight: number;
  slots: number | null;
  slots_max: number | null;
  user_slots: number | null;
  gpus: number | null;
  gpus_max: number | null;
  user_gpus: number | null;
  parent: string | null;
}

export interface Point {
  at: string;
  step: number | null;
  value: number;
  min: number;
  max: number;
}

export interface Curve {
  name: string;
  points: Point[];
}

export interface ModelFile {
  path: string;
  digest: string;
  size_bytes: number;
}

export interface Model {
  id: string;
  job: string;
  name: string;
  task: string;
  base: string;
  digest: string;
  path: string;
  created_at: string;
  files: ModelFile[];
  metrics: Record<string, number>;
}

export interface Token {
  id: string;
  token?: string;
  scope: string;
  name: string;
  user: string;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  expired: boolean;
}

export interface WebhookTry {
  at: string;
  took_ms: number;
  status: number | null;
  error: string | null;
}

export interface Webhook {
  id: string;
  name: string;
  url: string;
  on: State[];
  user: string;
  created_at: string;
  secret: string;
  waiting: number;
  given_up: number;
  last: WebhookTry | null;
}

export interface Session {
  user: string;
  scope: "viewer" | "submitter" | "admin";
}

export interface LogLine {
  rank: number;
  attempt: number;
  number: number;
  at: string | null;
  line: string;
  cut: boolean;
}

export interface Problem {
  code: string;
  message: string;
  where: string;
  hint: string;
  line: number | null;
  column: number | null;
}

export type Json = null | boolean | number | string | Json[] | {[key: string]: Json};
export type Doc = {[key: string]: Json};

export const FINISHED: ReadonlySet<State> = new Set<State>(["succeeded", "failed", "cancelled"]);
export const ACTIVE: ReadonlySet<State> = new Set<State>([
  "starting", "running", "preempting", "recovering", "resizing", "cancelling",
]);
export const WAITING: ReadonlySet<State> = new Set<State>(["validating", "queued", "paused"]);
