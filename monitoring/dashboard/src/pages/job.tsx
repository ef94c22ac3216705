// One job: what it does now, its curves, its story, its logs, its spec, its checkpoints.
import {useEffect, useMemo, useRef, useState} from "preact/hooks";
import type {Curve, Event, Job, Json, Point, Progress} from "../types";
import {ACTIVE, FINISHED} from "../types";
import {api, get, part} from "../api";
import {bytes, count, duration, moment, number, percent, secondsSince, until, words} from "../format";
import {mayChange, metricsOf, ranSeconds} from "../jobfacts";
import {readJob, useEvents, useLive} from "../live";
import {
  Badge, Bar, Button, Confirm, Copy, Dialog, Empty, Facts, Failure, Field, Heading, Icon, Notice, Panel,
  Radios, SpecDiff, Stat, Tabs, tell, useRead, useTick, useTitle,
} from "../parts";
import {go, modelPlace, setQuery, usePlace} from "../route";
import {adviceFor, waitText} from "../story";
import {differences, toYaml} from "../yaml";
import {JobCharts, Phases} from "./jobcharts";
import {Logs} from "./logs";
import {Samples} from "./samples";
import {Timeline} from "./timeline";

const POINTS = 1000;
const AGAIN_MS = 20_000;
const TABS: [string, string][] = [
  ["curves", "Curves"], ["timeline", "Timeline"], ["logs", "Logs"], ["spec", "Spec"],
  ["checkpoints", "Checkpoints"],
];

// Its curves: read, with what the stream tells added as it comes, and read again now and then for those
// that the stream does not tell (memory, phases).
function useCurves(id: string, job: Job | undefined) {
  const running = job !== undefined && ACTIVE.has(job.state);
  const [turn, setTurn] = useState(0);
  const read = useRead((stop) => get<{data: Curve[]}>(
    `/jobs/${part(id)}/metrics?points=${POINTS}`, stop), [id, job?.attempt, running, turn]);
  useEffect(() => {
    if (!running || document.hidden) return;
    const timer = window.setTimeout(() => setTurn((n) => n + 1), turn === 0 ? 4000 : AGAIN_MS);
    return () => window.clearTimeout(timer);
  }, [running, read.value]);
  const [added, setAdded] = useState<Curve[]>([]);
  const [buffer] = useState(() => new Map<string, Point[]>());
  const fresh = useRef(false); // the buffer is not what was added last
  useEffect(() => {
    for (const {name, points} of read.value?.data ?? []) {
      const last = points.at(-1)?.step ?? -1;
      buffer.set(name, (buffer.get(name) ?? []).filter((each) => (each.step ?? 0) > last));
      fresh.current = true;
    }
  }, [read.value]);
  useEvents((event) => {
    if (event.job !== id) return;
    const add = (name: string, step: number, value: unknown) => {
      if (typeof value !== "number") return;
      const points = buffer.get(name) ?? [];
      buffer.set(name, points);
      points.push({at: event.at, step, value, min: value, max: value});
      fresh.current = true;
    };
    if (event.type === "progress") {
      const now = event as unknown as Progress & Record<string, number>;
      for (const name of ["loss", "learning_rate", "grad_norm", "tokens_per_second"]) {
        add(name, now.step, now[name]);
      }
    } else if (event.type === "eval") {
      for (const [name, value] of Object.entries(event.metrics ?? {})) {
        add("eval." + name, event.step ?? 0, value);
      }
    }
  }, [id]);
  useEffect(() => {
    const timer = window.setInterval(() => {
      if (fresh.current && !document.hidden) {
        fresh.current = false;
        setAdded([...buffer].map(([name, points]) => ({name, points: [...points]})));
      }
    }, 500);
    return () => window.clearInterval(timer);
  }, []);
  const curves = useMemo(() => {
    const known = new Map((read.value?.data ?? []).map((each) => [each.name, each.points]));
    for (const curve of added) {
      const before = known.get(curve.name) ?? [];
      const last = before.at(-1)?.step ?? -1;
      known.set(curve.name, [...before, ...curve.points.filter((each) => (each.step ?? 0) > last)]);
    }
    return known;
  }, [read.value, added]);
  return {curves, error: read.error, again: read.again};
}

// ---- what can be done to it ----------------------------------------------------------------------

function sizes(job: Job): number[] {
  const out = [];
  for (let n = 1; n <= job.ranks.max; n *= 2) if (n >= job.ranks.min) out.push(n);
  return out;
}

function Resize({job, close}: {job: Job; close: () => void}) {
  const [ranks, setRanks] = useState(job.ranks.current ?? job.ranks.min);
  return (
    <Dialog title={`Resize ${job.name}`} close={close}>
      <p>
        It checkpoints, leaves its slots and goes on with another number of ranks. The result has the
        same bits at any size.
      </p>
      <Radios legend="Ranks" name="ranks" choices={sizes(job)} chosen={ranks} choose={setRanks} />
      <div class="actions">
        <Button run={close}>Leave it</Button>
        <Button kind="primary" disabled={ranks === job.ranks.current} run={async () => {
          await api("POST", `/jobs/${job.id}/resize`, {ranks});
          tell(`${job.name} will go on with ${ranks} ranks`);
          close();
        }}>Resize</Button>
      </div>
    </Dialog>
  );
}

function Actions({job}: {job: Job}) {
  const {session} = useLive();
  const [asking, setAsking] = useState<"" | "cancel" | "resize" | "pause">("");
  const may = mayChange(session, job);
  const post = async (what: string, told: string) => {
    await api("POST", `/jobs/${job.id}/${what}`, {});
    tell(told);
    readJob(job.id);
  };
  const close = () => setAsking("");
  const finished = FINISHED.has(job.state);
  return (
    <>
      <a class="button" href={`/ui/compare?jobs=${job.id}`}><Icon name="compare" />
        <span>Compare</span></a>
      {session?.scope !== "viewer" && (
        <a class="button" href={`/ui/new?from=${job.id}`}><Icon name="copy" /><span>Clone</span></a>
      )}
      {may && !finished && (job.state === "paused" || job.held) && (
        <Button icon="play" kind="primary" run={() => post("resume", `${job.name} goes on`)}>
          {job.held ? "Release" : "Resume"}
        </Button>
      )}
      {may && !finished && job.state !== "paused" && !job.held && (
        <Button icon="pause" run={() => setAsking("pause")}>Pause</Button>
      )}
      {may && job.state === "running" && sizes(job).length > 1 && (
        <Button icon="resize" run={() => setAsking("resize")}>Resize</Button>
      )}
      {may && !finished && (
        <Button icon="stop" kind="danger" run={() => setAsking("cancel")}>Cancel</Button>
      )}
      {asking === "resize" && <Resize job={job} close={close} />}
      {asking === "pause" && (
        <Confirm title={`Pause ${job.name}?`} yes="Pause it" close={close}
                 run={() => post("pause", `${job.name} checkpoints and pauses`)}>
          <p>It writes a checkpoint, then frees its slots. Nothing is lost; resume it any time.</p>
        </Confirm>
      )}
      {asking === "cancel" && (
        <Confirm title={`Cancel ${job.name}?`} yes="Cancel the job" danger close={close}
                 run={() => post("cancel", `${job.name} is cancelled`)}>
          <p>
            It stops for good and makes no model. Its checkpoints and logs stay for a while, and it can
            be cloned.
          </p>
        </Confirm>
      )}
    </>
  );
}

// ---- above the tabs ------------------------------------------------------------------------------

function Story({job}: {job: Job}) {
  const advice = adviceFor(job.reason);
  return (
    <>
      {job.state === "failed" && (
        <Notice kind="bad">
          <p><b>It failed: {job.reason}.</b> {job.message}</p>
          {advice && <p class="hint">{advice}</p>}
        </Notice>
      )}
      {job.stalled.map((stall) => (
        <Notice key={stall.rank} kind="bad"><p><b>Stalled.</b> {stall.message}</p></Notice>
      ))}
      {job.straggler && (
        <Notice kind="warn">
          <p>
            Rank {job.straggler.rank} on {job.straggler.worker} is slower than the others: it delays
            each step by {duration(job.straggler.delay_seconds)}.
          </p>
        </Notice>
      )}
      {job.state === "recovering" && (
        <Notice kind="warn"><p><b>Recovering.</b> {job.message ?? "It goes on from its newest checkpoint."}</p></Notice>
      )}
      {(job.state === "queued" || job.state === "paused") && (
        <Notice kind="info">
          <p><b>Why it waits.</b> {waitText(job)}</p>
          {job.estimate?.start_at && (
            <p class="hint">Expected to start {until(job.estimate.start_at)}.</p>
          )}
        </Notice>
      )}
      {(job.estimate?.warnings.length ?? 0) > 0 && (
        <Notice kind="note">
          <ul>{job.estimate!.warnings.map((warning) => <li key={warning}>{warning}</li>)}</ul>
        </Notice>
      )}
    </>
  );
}

function mainMetric(job: Job): [string, number] | null {
  const known = metricsOf(job);
  for (const name of ["accuracy", "rewards/accuracies", "bleu", "rougeL", "perplexity", "macro_f1", "loss"]) {
    const value = known[name];
    if (typeof value === "number") return [name, value];
  }
  return null;
}

function Figures({job}: {job: Job}) {
  const {progress} = job;
  const metric = mainMetric(job);
  const predicted = job.estimate?.memory_bytes_per_rank ?? null;
  const peak = job.measured?.memory_bytes_peak ?? null;
  const took = job.finished_at ? ranSeconds(job) : null;
  return (
    <div class="stats">
      <Stat label="Step" value={count(progress?.step)} unit={progress ? `of ${count(progress.total_steps)}` : ""}>
        <Bar part={progress?.step ?? 0} whole={progress?.total_steps ?? 0} label="steps done"
             kind={job.state === "succeeded" ? "good" : job.state === "failed" ? "bad" : ""} />
      </Stat>
      <Stat label="Loss" value={number(progress?.loss)} note={progress?.epoch !== null && progress
        ? `epoch ${number(progress.epoch)}` : " "} />
      {metric && (
        <Stat label={words(metric[0])} note={job.result ? "of the final model" : `at step ${job.eval?.step}`}
              value={number(metric[1])} />
      )}
      <Stat label="Tokens/s" value={count(progress?.tokens_per_second)}
            note={`${job.ranks.current ?? 0} of ${job.ranks.max} ranks`} />
      {took === null ? (
        <Stat label="Left" value={job.state === "running" ? duration(progress?.eta_seconds) : "–"}
              note={job.estimate?.end_at ? `done about ${moment(job.estimate.end_at)}` : " "} />
      ) : (
        <Stat label="Took" value={duration(took)} note={`ended ${moment(job.finished_at)}`} />
      )}
      <Stat label="Memory per rank" value={bytes(peak ?? predicted)}
            note={peak === null ? "predicted" : predicted === null ? "peak"
              : `${bytes(predicted)} predicted`}>
        {peak !== null && predicted !== null && (
          <Bar part={peak} whole={predicted} label="memory used of what was predicted"
               kind={percent(peak, predicted) > 99 ? "bad" : ""} />
        )}
      </Stat>
    </div>
  );
}

// ---- tabs ----------------------------------------------------------------------------------------

function Spec({job}: {job: Job}) {
  const {query} = usePlace();
  const {jobs} = useLive();
  const against = query.get("against") ?? "";
  const read = useRead((stop) => get<Record<string, Json>>(`/jobs/${job.id}/spec`, stop), [job.id]);
  const other = useRead(async (stop) =>
    against ? get<Record<string, Json>>(`/jobs/${part(against)}/spec`, stop) : null, [against]);
  const others = [...jobs.values()].filter((each) => each.id !== job.id)
    .sort((a, b) => b.sequence - a.sequence).slice(0, 60);
  const yaml = read.value ? toYaml(read.value) : "";
  const diff = read.value && other.value ? differences([read.value, other.value]) : null;
  return (
    <div class="columns even">
      <Panel title="Resolved spec" aside={<Copy text={yaml} what="the spec" />}>
        <Failure error={read.error} again={read.again} />
        <pre class="code" tabIndex={0} aria-label="the spec as YAML">{yaml}</pre>
      </Panel>
      <Panel title="Compare with another job">
        <Field label="Other job">
          <select value={against}
                  onChange={(event) => setQuery({against: event.currentTarget.value})}>
            <option value="">choose one</option>
            {others.map((each) => (
              <option key={each.id} value={each.id}>{each.name} · {each.id} · {each.state}</option>
            ))}
          </select>
        </Field>
        <Failure error={other.error} />
        {diff?.length === 0 && <Empty title="The specs are the same" />}
        {diff && diff.length > 0 && (
          <SpecDiff jobs={[job.name, jobs.get(against)?.name ?? against]} rows={diff} />
        )}
      </Panel>
    </div>
  );
}

function Checkpoints({job}: {job: Job}) {
  const list = [...job.checkpoints].reverse();
  if (list.length === 0) {
    return <Empty title="No checkpoint yet">One is written every save_steps, and before the job
      leaves its slots.</Empty>;
  }
  return (
    <Panel title="Checkpoints that are kept" flush>
      <div class="scroll">
        <table class="rows">
          <thead><tr><th scope="col" class="num">Step</th><th scope="col" class="num">Attempt</th>
            <th scope="col" class="num">Size</th><th scope="col">Written</th>
            <th scope="col">State digest</th><th scope="col">Path</th></tr></thead>
          <tbody>
            {list.map((each) => (
              <tr key={each.state_digest + each.step}>
                <td class="num">{count(each.step)}</td><td class="num">{each.attempt}</td>
                <td class="num">{bytes(each.size_bytes)}</td><td>{moment(each.committed_at)}</td>
                <td><code title={each.state_digest}>{each.state_digest.slice(0, 19)}…</code></td>
                <td><code class="path">{each.path}</code></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function About({job}: {job: Job}) {
  const workers = [...new Set(job.attempts.at(-1)?.workers ?? [])];
  return (
    <Panel title="About">
      <Facts rows={[
        ["Task", job.task],
        ["Model", <code class="path">{job.model}</code>],
        ["User", job.user],
        ["Queue", <>{job.queue}, priority {job.priority}</>],
        ["Submitted", moment(job.submitted_at)],
        [ACTIVE.has(job.state) ? "Runs on" : "Ran on", workers.length === 0 ? "–" : workers.map((name) => (
          <><a href={`/ui/cluster/${part(name)}`}>{name}</a>{" "}</>))],
        ["Attempts", count(job.attempts.length)],
        ["Rows", count(job.estimate?.rows)],
        ["Tokens per epoch", count(job.estimate?.tokens)],
        ["Result", job.result
          ? <a href={modelPlace(job.result.model)}>{job.result.model}</a> : "–"],
      ]} />
    </Panel>
  );
}

export function JobPage({id}: {id: string}) {
  const {jobs} = useLive();
  const {query} = usePlace();
  const tab = query.get("tab") ?? "curves";
  // Not among those that are known: an old one, or a name.
  const read = useRead((stop) => get<Job>(`/jobs/${part(id)}`, stop), [id]);
  const job = jobs.get(id) ?? (read.value ? jobs.get(read.value.id) ?? read.value : undefined);
  const [events, setEvents] = useState<Event[]>([]);
  const story = useRead((stop) => get<{data: Event[]}>(
    `/jobs/${part(id)}/events?limit=1000`, stop), [id]);
  useEffect(() => setEvents(story.value?.data ?? []), [story.value]);
  useEvents((event) => {
    if (event.job !== job?.id || !event.seq) return;
    setEvents((known) => known.some((each) => each.seq === event.seq) ? known : [...known, event]);
  }, [job?.id]);
  const curves = useCurves(job?.id ?? id, job);
  useTitle(job?.name ?? id);
  useTick(2000);
  if (!job) {
    return read.error ? (
      <>
        <Heading title={id} crumb={<a href="/ui/jobs">Jobs</a>} />
        <Failure error={read.error} again={read.again} />
      </>
    ) : <div class="loading" role="status">Reading the job…</div>;
  }
  if (id !== job.id) go(`/jobs/${job.id}`, true);
  const since = duration(secondsSince(job.since));
  return (
    <>
      <Heading crumb={<><a href="/ui/jobs">Jobs</a> / <code>{job.id}</code></>}
               title={<>{job.name} <Badge state={job.state} held={job.held} />
                 {!FINISHED.has(job.state) && <small class="muted"> for {since}</small>}</>}>
        <Actions job={job} />
      </Heading>
      <Story job={job} />
      <Figures job={job} />
      <Tabs tabs={TABS} at={tab} set={(to) => setQuery({tab: to === "curves" ? null : to})} />
      <div role="tabpanel" aria-labelledby={`tab-${tab}`}>
        {tab === "curves" && (
          <>
            <Failure error={curves.error} again={curves.again} />
            <div class="columns wide-left">
              <JobCharts job={job} curves={curves.curves} />
              <div>
                <Phases curves={curves.curves} />
                <About job={job} />
              </div>
            </div>
            <Samples job={job} />
          </>
        )}
        {tab === "timeline" && (
          <>
            <Failure error={story.error} again={story.again} />
            <Timeline job={job} events={events} />
          </>
        )}
        {tab === "logs" && <Logs job={job} />}
        {tab === "spec" && <Spec job={job} />}
        {tab === "checkpoints" && <Checkpoints job={job} />}
      </div>
    </>
  );
}
