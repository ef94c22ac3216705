// Machines and what their slots do.
import {useState} from "preact/hooks";
import type {Curve, Worker} from "../types";
import {api, get, part} from "../api";
import {Chart, seriesOf} from "../chart";
import {ago, bytes, count, percent, plural} from "../format";
import {readCluster, useLive} from "../live";
import {
  Bar, Button, Confirm, Empty, Facts, Failure, Heading, JobName, Panel, Stat, tell, useRead, useTick,
  useTitle,
} from "../parts";

const HOUR_MS = 3600_000;

// Always the same colour for a job.
function colorOf(id: string): number {
  let hash = 0;
  for (const letter of id) hash = (hash * 31 + letter.charCodeAt(0)) >>> 0;
  return [0, 1, 2, 3, 4, 5, 7, 8, 9][hash % 9];
}

function Slot({job, title}: {job: string | null; title: string}) {
  if (job === null) return <span class="slot" title={title} />;
  return <span class="slot used" style={{background: `var(--c${colorOf(job)})`}} title={title} />;
}

function Slots({worker}: {worker: Worker}) {
  const {jobs} = useLive();
  const slots: {job: string | null; title: string}[] = [];
  for (const gang of worker.gangs) {
    const name = jobs.get(gang.job)?.name ?? gang.job;
    for (let rank = 0; rank < gang.ranks; ++rank) {
      slots.push({job: gang.job, title: `${name}, ${gang.stopping ? "stopping" : "running"}`});
    }
  }
  while (slots.length < worker.slots) slots.push({job: null, title: "free"});
  return (
    <div class="slots" role="img" aria-label={`${worker.slots_used} of ${worker.slots} slots used`}>
      {slots.slice(0, Math.max(worker.slots, 1)).map((slot, i) => <Slot key={i} {...slot} />)}
    </div>
  );
}

function Drain({worker}: {worker: Worker}) {
  const {session} = useLive();
  const [asking, setAsking] = useState(false);
  if (session?.scope !== "admin") return null;
  const post = async (what: string, told: string) => {
    await api("POST", `/workers/${part(worker.name)}/${what}`, {});
    tell(told);
    readCluster();
  };
  if (worker.draining) {
    return <Button run={() => post("undrain", `${worker.name} takes jobs again`)}>Undrain</Button>;
  }
  return (
    <>
      <Button run={() => setAsking(true)}>Drain</Button>
      {asking && (
        <Confirm title={`Drain ${worker.name}?`} yes="Drain it" close={() => setAsking(false)}
                 run={() => post("drain", `${worker.name} drains`)}>
          <p>Its jobs checkpoint and go on elsewhere. Nothing is placed on it until it is undrained.</p>
        </Confirm>
      )}
    </>
  );
}

function status(worker: Worker) {
  const word = worker.state !== "up" ? worker.state : worker.draining ? "draining" : "up";
  return <span class={`badge s-${word}`}>{word}</span>;
}

function Card({worker}: {worker: Worker}) {
  const {jobs, loads} = useLive();
  const memory = worker.memory_bytes_used ?? 0;
  const load = loads.get(worker.name);
  return (
    <section class="panel machine">
      <header>
        <h2><a href={`/ui/cluster/${part(worker.name)}`}>{worker.name}</a> {status(worker)}</h2>
        <Drain worker={worker} />
      </header>
      <Slots worker={worker} />
      <p class="muted">
        {worker.slots_used} of {plural(worker.slots, "slot")} · {plural(worker.cores, "core")}
        {worker.gpus > 0 && (
          <span title={worker.gpu_model ?? ""}> · {worker.gpus_used} of {plural(worker.gpus, "GPU")}</span>
        )}
      </p>
      <div class="meter">
        <span>CPU</span>
        <Bar part={load ?? 0} whole={1} label={`CPU of ${worker.name}`} />
        <span class="num">{load === undefined ? "–" : `${Math.round(100 * load)} %`}</span>
      </div>
      <div class="meter">
        <span>Memory</span>
        <Bar part={memory} whole={worker.memory_bytes ?? 0} label={`memory of ${worker.name}`}
             kind={percent(memory, worker.memory_bytes ?? 0) > 90 ? "bad" : ""} />
        <span class="num">{bytes(worker.memory_bytes_used)}</span>
      </div>
      {worker.gangs.length > 0 && (
        <ul class="gangs">
          {worker.gangs.map((gang) => (
            <li key={gang.job}>
              <Slot job={gang.job} title="" />
              {jobs.has(gang.job) ? <JobName job={jobs.get(gang.job)!} /> : <code>{gang.job}</code>}
              <span class="muted num">{plural(gang.ranks, "rank")}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

export function ClusterPage() {
  useTitle("Cluster");
  useTick(5000);
  const {workers, cluster} = useLive();
  const up = workers.filter((worker) => worker.state === "up");
  const sum = (pick: (worker: Worker) => number | null) =>
    up.reduce((total, worker) => total + (pick(worker) ?? 0), 0);
  const disk = Math.min(...up.map((worker) => worker.disk_free_bytes ?? Infinity));
  return (
    <>
      <Heading title="Cluster" />
      <div class="stats">
        <Stat label="Machines" value={up.length} unit="up"
              note={workers.length === up.length ? "none lost"
                : <span class="bad">{workers.length - up.length} lost</span>} />
        <Stat label="Slots" value={cluster?.slots.used ?? 0} unit={`of ${cluster?.slots.total ?? 0}`}>
          <Bar part={cluster?.slots.used ?? 0} whole={cluster?.slots.total ?? 0} label="slots in use" />
        </Stat>
        <Stat label="Memory" value={bytes(sum((w) => w.memory_bytes_used))}
              note={`of ${bytes(sum((w) => w.memory_bytes))}`} />
        <Stat label="Least free disk" value={Number.isFinite(disk) ? bytes(disk) : "–"} note=" " />
        <Stat label="Version" value={cluster?.version ?? "–"} note={cluster?.revision} />
      </div>
      {workers.length === 0 ? (
        <Panel><Empty title="No machine is up">Let one in: run <code>tutti worker token</code> here and
          <code> tutti worker --join STRING</code> there.</Empty></Panel>
      ) : <div class="machines">{workers.map((worker) => <Card key={worker.id} worker={worker} />)}</div>}
    </>
  );
}

export function Machine({name}: {name: string}) {
  useTitle(name);
  useTick(5000);
  const {workers, jobs} = useLive();
  const worker = workers.find((each) => each.name === name || each.id === name);
  const read = useRead((stop) => get<{data: Curve[]}>(
    `/workers/${part(name)}/metrics?from_ms=${Date.now() - HOUR_MS}&points=360`, stop),
    [name, Math.floor(Date.now() / 10_000)]);
  const curve = (wanted: string, label: string, index: number) =>
    [seriesOf(read.value?.data.find((each) => each.name === wanted), label, "time", {color: index})];
  if (!worker) {
    return (
      <>
        <Heading title={name} crumb={<a href="/ui/cluster">Cluster</a>} />
        <Panel><Empty title="No such machine here">It left, or never joined.</Empty></Panel>
      </>
    );
  }
  return (
    <>
      <Heading title={<>{worker.name} {status(worker)}</>} crumb={<a href="/ui/cluster">Cluster</a>}>
        <Drain worker={worker} />
      </Heading>
      <Failure error={read.error} again={read.again} />
      <div class="columns wide-left">
        <div>
          <Panel title="Slots"><Slots worker={worker} /></Panel>
          <Panel title="What it runs" flush>
            {worker.gangs.length === 0 ? <Empty title="Nothing" /> : (
              <table class="rows">
                <thead><tr><th scope="col">Job</th><th scope="col" class="num">Attempt</th>
                  <th scope="col" class="num">Ranks here</th><th scope="col">Processes</th></tr></thead>
                <tbody>
                  {worker.gangs.map((gang) => (
                    <tr key={gang.job}>
                      <td>{jobs.has(gang.job) ? <JobName job={jobs.get(gang.job)!} /> : gang.job}</td>
                      <td class="num">{gang.attempt}</td><td class="num">{gang.ranks}</td>
                      <td><code>{gang.rank_pids.join(" ")}</code></td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )}
          </Panel>
          <Panel title="Last hour">
            <div class="charts">
              <Chart title="CPU" time low={0} unit="percent" series={curve("cpu_ratio", "busy", 0)} />
              <Chart title="Memory" time low={0} unit="bytes" series={curve("memory_used_bytes", "used", 7)} />
              <Chart title="Slots in use" time low={0} unit="count" series={curve("slots_used", "slots", 2)} />
              <Chart title="Free disk" time low={0} unit="bytes" series={curve("disk_free_bytes", "free", 5)} />
            </div>
          </Panel>
        </div>
        <Panel title="About">
          <Facts rows={[
            ["Address", worker.address ?? "–"],
            ["CPU", worker.cpu_model ?? "–"],
            ["Cores", count(worker.cores)],
            ["Memory", `${bytes(worker.memory_bytes_used)} of ${bytes(worker.memory_bytes)}`],
            ["Free disk", bytes(worker.disk_free_bytes)],
            ["Numerics", <code>{worker.numerics_fingerprint?.slice(0, 16) ?? "–"}</code>],
            ["Labels", Object.entries(worker.labels).map(([k, v]) => `${k}=${v}`).join(", ") || "–"],
            ["Version", worker.version],
            ["Process", worker.pid ?? "–"],
            ["Last heard", ago(worker.last_seen_at)],
          ]} />
        </Panel>
      </div>
    </>
  );
}
