// Who goes next, and why not now.
import {useState} from "preact/hooks";
import type {Job} from "../types";
import {WAITING} from "../types";
import {api, get, said} from "../api";
import {duration, moment, plural, secondsSince, until} from "../format";
import {mayChange} from "../jobfacts";
import {readJob, useLive} from "../live";
import {
  Badge, Button, Empty, Failure, Heading, Icon, JobName, Panel, Stat, tell, useRead, useTick, useTitle,
} from "../parts";
import {waitText} from "../story";
import {Sharing, type Queues} from "./sharing";

// Queued ones by how many go first; those that nobody may start come last.
function inOrder(jobs: Job[]): Job[] {
  const ahead = (job: Job) =>
    job.state === "paused" ? 3e9 : job.held ? 2e9 : job.pending?.jobs_ahead ?? 1e9;
  return [...jobs].sort((a, b) =>
    ahead(a) - ahead(b) || b.priority - a.priority || a.sequence - b.sequence);
}

async function setPriority(job: Job, priority: number, told: string): Promise<void> {
  await api("PATCH", `/jobs/${job.id}`, {priority});
  tell(told);
  readJob(job.id);
}

function Priority({job, among}: {job: Job; among: Job[]}) {
  const {session} = useLive();
  const set = (priority: number) =>
    setPriority(job, priority, `${job.name} has priority ${priority} now`);
  const highest = Math.max(...among.map((each) => each.priority));
  if (!mayChange(session, job)) return <span class="num">{job.priority}</span>;
  return (
    <span class="priority">
      <button type="button" class="quiet" aria-label={`lower the priority of ${job.name}`}
              onClick={() => void set(job.priority - 1).catch((e) => tell(said(e), "", true))}>
        <Icon name="down" /></button>
      <b class="num">{job.priority}</b>
      <button type="button" class="quiet" aria-label={`raise the priority of ${job.name}`}
              onClick={() => void set(job.priority + 1).catch((e) => tell(said(e), "", true))}>
        <Icon name="up" /></button>
      {job.pending && job.pending.jobs_ahead > 0 && (
        <Button kind="quiet" run={() => set(highest + 1)}>First</Button>
      )}
    </span>
  );
}

export function QueuePage() {
  useTitle("Queue");
  useTick(3000);
  const {jobs, cluster, session} = useLive();
  const [dragged, setDragged] = useState<Job | null>(null);
  const waiting = inOrder([...jobs.values()].filter((job) => WAITING.has(job.state)));
  const queues = useRead((stop) => get<Queues>("/queues", stop),
                         [waiting.length, cluster?.slots.used]);
  const queued = waiting.filter((job) => job.state !== "paused" && !job.held);
  const idle = waiting.length - queued.length;
  const free = (cluster?.slots.total ?? 0) - (cluster?.slots.used ?? 0);
  // Dropped on another: just above it.
  const drop = async (on: Job) => {
    if (!dragged || dragged.id === on.id) return;
    const priority = on.priority + 1;
    try {
      await setPriority(dragged, priority, `${dragged.name} goes before ${on.name}: priority ${priority}`);
    } catch (error) {
      tell(said(error), "", true);
    }
    setDragged(null);
  };
  return (
    <>
      <Heading title="Queue" />
      <div class="stats">
        <Stat label="Free slots" value={free} unit={`of ${cluster?.slots.total ?? 0}`}
              note={<>policy {queues.value?.policy ?? cluster?.policy}</>} />
        <Stat label="Waiting" value={queued.length} note={idle === 0 ? "" : `${plural(idle, "more is", "more are")} held or paused`} />
        <Stat label="Longest wait" value={queued.length === 0 ? "–"
          : duration(Math.max(...queued.map((job) => secondsSince(job.submitted_at) ?? 0)))} note="of those that wait" />
      </div>
      <Failure error={queues.error} again={queues.again} />
      <Panel title="In the order they start" flush
             aside={session?.scope === "viewer" ? null
               : <span class="muted">Drag a job onto another to go before it</span>}>
        {waiting.length === 0 ? (
          <Empty title="Nobody waits">{plural(free, "slot")} {free === 1 ? "is" : "are"} free: a new job
            starts at once if it fits.</Empty>
        ) : (
          <div class="scroll">
            <table class="rows stack">
              <thead><tr>
                <th scope="col" class="num">#</th><th scope="col">Job</th><th scope="col">State</th>
                <th scope="col">Why it waits</th><th scope="col" class="num">Ranks</th>
                <th scope="col">Priority</th><th scope="col">Expected start</th>
                <th scope="col" class="num">Waits</th>
              </tr></thead>
              <tbody>
                {waiting.map((job, i) => (
                  <tr key={job.id} draggable={job.state === "queued" && session?.scope !== "viewer"}
                      class={dragged?.id === job.id ? "dragged" : ""}
                      onDragStart={() => setDragged(job)} onDragEnd={() => setDragged(null)}
                      onDragOver={(event) => event.preventDefault()}
                      onDrop={() => void drop(job)}>
                    <td class="num muted wide">{i + 1}</td>
                    <td><JobName job={job} /></td>
                    <td><Badge state={job.state} held={job.held} /></td>
                    <td class="whycell">{waitText(job)}</td>
                    <td class="num wide">{job.ranks.min === job.ranks.max ? job.ranks.max
                      : `${job.ranks.min}–${job.ranks.max}`}</td>
                    <td><Priority job={job} among={waiting} /></td>
                    <td title={moment(job.estimate?.start_at)}>{job.estimate?.start_at ? until(job.estimate.start_at)
                      : <span class="muted">not known</span>}</td>
                    <td class="num wide">{duration(secondsSince(job.submitted_at))}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      {queues.value && <Sharing queues={queues.value} admin={session?.scope === "admin"} again={queues.again} />}
    </>
  );
}
