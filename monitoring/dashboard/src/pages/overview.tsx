// What goes on, at a glance.
import type {Curve, Event, Job} from "../types";
import {ACTIVE, WAITING} from "../types";
import {get} from "../api";
import {Chart, seriesOf} from "../chart";
import {eventText, reasonText} from "../story";
import {ago, count, number, plural, secondsSince} from "../format";
import {useLive} from "../live";
import {
  Badge, Bar, Empty, Eta, Heading, Icon, JobName, Panel, Spark, Stat, StepBar, useRead, useTick,
  useTitle,
} from "../parts";

const HOUR_MS = 3600_000;
const DAY_S = 86_400;

function Running({jobs}: {jobs: Job[]}) {
  const {sparks} = useLive();
  if (jobs.length === 0) {
    return <Empty title="Nothing runs">A job starts as soon as enough slots are free.</Empty>;
  }
  return (
    <div class="scroll">
      <table class="rows stack">
        <thead>
          <tr>
            <th scope="col">Job</th><th scope="col">State</th><th scope="col">Steps</th>
            <th scope="col">Loss</th><th scope="col" class="num">Now</th>
            <th scope="col" class="num">Tokens/s</th><th scope="col" class="num">Ranks</th>
            <th scope="col" class="num">Left</th>
          </tr>
        </thead>
        <tbody>
          {jobs.map((job) => (
            <tr key={job.id}>
              <td><JobName job={job} /></td>
              <td>
                <Badge state={job.state} />
                {job.stalled.length > 0 && <span class="badge s-failed">stalled</span>}
              </td>
              <td><StepBar job={job} /></td>
              <td><Spark values={sparks.get(job.id) ?? []} label={`loss of ${job.name}`} /></td>
              <td class="num wide">{number(job.progress?.loss)}</td>
              <td class="num wide">{count(job.progress?.tokens_per_second)}</td>
              <td class="num wide">{job.ranks.current ?? "–"}</td>
              <td class="num wide"><Eta job={job} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Waiting({jobs}: {jobs: Job[]}) {
  if (jobs.length === 0) return <Empty title="Nobody waits" />;
  return (
    <ul class="list">
      {jobs.slice(0, 6).map((job) => (
        <li key={job.id}>
          <div class="line1"><JobName job={job} /><Badge state={job.state} held={job.held} /></div>
          <p class="muted">{job.message ?? reasonText(job.reason)}</p>
        </li>
      ))}
    </ul>
  );
}

function Failures({jobs}: {jobs: Job[]}) {
  if (jobs.length === 0) return <Empty title="No failures in the last day" />;
  return (
    <ul class="list">
      {jobs.slice(0, 5).map((job) => (
        <li key={job.id}>
          <div class="line1">
            <JobName job={job} /><span class="badge s-failed">{job.reason ?? "failed"}</span>
          </div>
          <p class="muted clamp">{job.message}</p>
          <p class="faint">{ago(job.finished_at)}</p>
        </li>
      ))}
    </ul>
  );
}

const FEED_ROWS = 8;

// What the stream told; before that, what jobs say of themselves.
function history(events: Event[], jobs: Map<string, Job>): Event[] {
  const since = Math.min(Date.now(), ...events.map((event) => Date.parse(event.at)));
  const told: Event[] = [];
  for (const job of jobs.values()) {
    if (Date.parse(job.submitted_at) < since) {
      told.push({type: "submitted", job: job.id, at: job.submitted_at, held: job.held});
    }
    if (job.finished_at && Date.parse(job.finished_at) < since) {
      told.push({type: job.state, job: job.id, at: job.finished_at, reason: job.reason ?? "",
        message: job.message ?? "", metrics: job.result?.metrics});
    }
  }
  told.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  return [...events.filter((event) => event.type !== "stop_requested"), ...told].slice(0, FEED_ROWS);
}

function Feed({events, jobs}: {events: Event[]; jobs: Map<string, Job>}) {
  const shown = history(events, jobs);
  return (
    <ol class="feed">
      {shown.map((event) => (
        <li key={event.seq ?? event.job + event.type} class={`e-${event.type}`}>
          <time dateTime={event.at}>{ago(event.at)}</time>
          <span>
            <a href={`/ui/jobs/${event.job}`}>{jobs.get(event.job)?.name ?? event.job}</a>{" "}
            {eventText(event)}
          </span>
        </li>
      ))}
    </ol>
  );
}

function Use() {
  useTick(10_000);
  const minute = Math.floor(Date.now() / 10_000);
  const read = useRead((stop) => get<{data: Curve[]}>(
    `/cluster/metrics?from_ms=${Date.now() - HOUR_MS}&points=360`, stop), [minute]);
  const curve = (name: string) => read.value?.data.find((each) => each.name === name);
  return (
    <Chart title="Last hour" time low={0} unit="count" height={150} series={[
      seriesOf(curve("slots_used"), "slots used", "time", {color: 0}),
      seriesOf(curve("slots_total"), "slots", "time", {color: 6, dashed: true}),
      seriesOf(curve("jobs_queued"), "jobs waiting", "time", {color: 1}),
    ]} />
  );
}

export function Overview() {
  useTitle("");
  useTick(5000);
  const {cluster, workers, jobs, events} = useLive();
  const all = [...jobs.values()].sort((a, b) => b.sequence - a.sequence);
  const running = all.filter((job) => ACTIVE.has(job.state));
  const waiting = all.filter((job) => WAITING.has(job.state))
    .sort((a, b) => (a.pending?.jobs_ahead ?? 1e9) - (b.pending?.jobs_ahead ?? 1e9));
  const failed = all.filter((job) => job.state === "failed" && job.finished_at !== null &&
    secondsSince(job.finished_at) < DAY_S);
  const up = workers.filter((worker) => worker.state === "up");
  const paused = cluster?.jobs.paused ?? 0;
  const queued = (cluster?.jobs.queued ?? 0) + (cluster?.jobs.validating ?? 0);
  if (all.length === 0) return <FirstTime machines={up.length} />;
  return (
    <>
      <Heading title="Overview" />
      <div class="stats">
        <Stat label="Slots in use" value={cluster?.slots.used ?? "–"}
              unit={`of ${cluster?.slots.total ?? "–"}`}>
          <Bar part={cluster?.slots.used ?? 0} whole={cluster?.slots.total ?? 0} label="slots in use" />
        </Stat>
        <Stat label="Running" value={running.length}
              note={running.length > 0 ? `${plural(running.reduce(
                (sum, job) => sum + (job.ranks.current ?? 0), 0), "rank")}` : "idle"} />
        <Stat label="Waiting" value={queued} note={paused > 0 ? `and ${paused} paused` : " "} />
        <Stat label="Failed, last day" value={failed.length}
              note={`${count(cluster?.jobs.succeeded ?? 0)} succeeded in all`} />
        <Stat label="Machines" value={up.length} unit="up"
              note={workers.length > up.length
                ? <span class="bad">{workers.length - up.length} lost</span>
                : up.some((worker) => worker.draining) ? "some drain" : "all well"} />
      </div>
      <div class="columns">
        <div>
          <Panel title="Running" flush aside={<a href="/ui/jobs">All jobs</a>}>
            <Running jobs={running} />
          </Panel>
          <Panel><Use /></Panel>
          <Panel title="What happened" flush><Feed events={events} jobs={jobs} /></Panel>
        </div>
        <div>
          <Panel title="Waiting" flush aside={<a href="/ui/queue">Queue</a>}>
            <Waiting jobs={waiting} />
          </Panel>
          <Panel title="Recent failures" flush aside={<a href="/ui/jobs?state=failed">All</a>}>
            <Failures jobs={failed} />
          </Panel>
        </div>
      </div>
    </>
  );
}

function FirstTime({machines}: {machines: number}) {
  return (
    <div class="first">
      <h1>Your cluster is ready</h1>
      <p>
        {plural(machines, "machine")} {machines === 1 ? "waits" : "wait"} for the first job. Bring a
        file of examples, choose a model, and start; or run one of the shipped specs:
      </p>
      <pre>tutti submit jobs/examples/package-sections.yaml --follow</pre>
      <p><a class="button primary" href="/ui/new"><Icon name="plus" />New job</a></p>
    </div>
  );
}
