// What several pages ask of a job.
import type {Job, Session} from "./types";
import {number, words} from "./format";

export function mayChange(session: Session | null | undefined, job: Job): boolean {
  return session?.scope === "admin" || (session?.scope === "submitter" && session.user === job.user);
}

// From its first start to its end, or to now; null before it started.
export function ranSeconds(job: Job): number | null {
  const started = job.attempts.find((each) => each.started_at)?.started_at;
  if (!started) return null;
  const end = job.finished_at ? Date.parse(job.finished_at) : Date.now();
  return (end - Date.parse(started)) / 1000;
}

// Of its model; before there is one, of its newest evaluation.
export function metricsOf(job: Job): Record<string, number | null | undefined> {
  return job.result?.metrics ?? job.eval ?? {};
}

// The first two, as a cell of a table has room for.
export function metricsText(metrics: [name: string, value: number][]): string {
  return metrics.slice(0, 2).map(([name, value]) => `${words(name)} ${number(value)}`).join(", ");
}

// Whether its name, id or user has the text, which is in lower case.
export function matches(job: Job, lower: string): boolean {
  return job.name.toLowerCase().includes(lower) || job.id.includes(lower) ||
    job.user.toLowerCase().includes(lower);
}
