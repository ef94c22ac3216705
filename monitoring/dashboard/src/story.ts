// Events and reasons in plain words.
import {bytes, number, plural} from "./format";
import type {Event, Job} from "./types";

const REASONS: Record<string, string> = {
  priority: "others go first",
  resources: "too few slots are free",
  quota: "its queue has used its share",
  dependency: "another job has to succeed first",
  held: "it is held until someone releases it",
  pool_down: "no machine is up",
  fragmentation: "the free slots lie on too many machines",
  numerics: "it waits for a machine that computes the same bits",
};

export function reasonText(reason: string | null): string {
  return reason === null ? "" : (REASONS[reason] ?? reason);
}

// What to do about a failure.
export function adviceFor(reason: string | null): string {
  switch (reason) {
    case "oom":
      return "Fewer rows at a time need less memory: lower training.micro_batch_size or data.max_length.";
    case "data":
      return "Correct the data at the place that is named, then submit again.";
    case "numeric":
      return "The loss or a gradient was not finite: a lower learning_rate or a warm-up often helps.";
    case "worker_lost":
      return "The machine went away. Look at Cluster; the job can be submitted again.";
    case "disk_full":
      return "Make room on the machine's disk, or collect old checkpoints: tutti checkpoint gc.";
    case "timeout":
      return "It ran longer than schedule.max_duration allows.";
    case "hang":
      return "A rank stood still. Its log's last lines say where.";
    case "crash":
      return "The rank's log says more; look at its last lines.";
    default:
      return "";
  }
}

export function eventText(event: Event): string {
  const on = event.workers?.length ? ` on ${event.workers.join(", ")}` : "";
  switch (event.type) {
    case "submitted": return "was submitted" + (event.held ? ", held" : "");
    case "admitted": return "passed inspection";
    case "rejected": return `was rejected: ${event.message ?? event.reason ?? ""}`;
    case "placed": return `was placed with ${plural(event.ranks ?? 0, "rank")}${on}`;
    case "started":
      return event.from_step ? `goes on from step ${event.from_step}` : "started";
    case "stop_requested": return `was asked to stop (${event.reason})`;
    case "checkpoint": {
      const size = typeof event.size_bytes === "number" ? `, ${bytes(event.size_bytes)}` : "";
      return `wrote a checkpoint at step ${event.step}${size}`;
    }
    case "released": return `left its slots at step ${event.step} (${event.reason})`;
    case "attempt_failed":
      return `lost attempt ${event.attempt} at step ${event.step}: ` +
        `${event.message || event.reason}`;
    case "succeeded": {
      const metrics = Object.entries(event.metrics ?? {})
        .map(([name, value]) => `${name} ${number(value)}`).join(", ");
      return "succeeded" + (metrics ? `: ${metrics}` : "");
    }
    case "failed": return `failed: ${event.message || event.reason}`;
    case "cancelled": return "was cancelled";
    case "paused": return "is paused";
    case "resumed": return event.ranks ? `resumed with ${event.ranks} ranks` : "resumed";
    case "resized": return `is resized to ${event.ranks} ranks`;
    case "hold_released": return "is held no more";
    case "priority_changed": return `has priority ${event.priority} now`;
    default: return event.type;
  }
}

export function waitText(job: Job): string {
  if (job.state === "paused") return "It is paused until someone resumes it.";
  return job.message ?? reasonText(job.reason);
}
